"""What in a rendered prompt is markup and what is a message's content, for any chat template.

To find a template's markup, render messages whose contents are marks that nobody writes, and cut
at the marks. So contents that look like markup ("user", "\n\n") do not confuse it.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from jinja2 import Environment, TemplateError, meta

from ..machine_failures import pass_on
from .messages import text_of
from .tokens import template_text

ARGUMENTS = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"}
DAY = {"Y": r"\d{4}"} | dict.fromkeys("aAbB", r"[^\W\d]+")  # strftime's directives; the others write digits
MOST_ARGUMENTS = 6  # how many of a template's own arguments are tried, each as True and as False


def date_formats(tokenizer) -> list[str]:
    """The forms in which a chat template writes the date of the day, as `strftime` takes them."""
    return sorted(
        {form for text in _texts(tokenizer) for form in re.findall(r"strftime_now\(\s*[\"']([^\"']+)[\"']", text)}
    )


def _texts(tokenizer) -> list[str]:
    """Of its chat template, or of its several named ones."""
    found = tokenizer.chat_template
    return list(found.values()) if isinstance(found, dict) else [found or ""]


@dataclass(frozen=True)
class Skeleton:
    """What a template writes around the contents of messages with certain roles.

    `markup`: the texts before, between and after the contents, without a start token. `header`: the
    header of the reply, which a generation prompt adds after the last of them.
    """

    markup: tuple[str, ...]
    header: str

    @property
    def end(self) -> str:
        """Everything after the last content."""
        return self.markup[-1] + self.header


class Template:
    """A tokenizer's chat template, with what was found out about it; one for all rows of an audit."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self._skeletons = {}
        self.borders = {}  # what `audit.parity.reading` derives from the skeletons

    def render(self, messages: list[dict], tools=None, prompt: bool = True, **arguments) -> str | None:
        """The text, or None if the template refuses these messages."""
        try:
            return template_text(messages, self.tokenizer, tools, prompt=prompt, **arguments)
        except Exception as error:  # a template raises what it likes
            pass_on(error)
            return None

    def skeleton(self, roles: tuple[str, ...], tools=None, **arguments) -> Skeleton | None:
        """The markup around messages of these roles; None if the template refuses, changes or reorders them."""
        key = (roles, repr(tools), tuple(arguments.items()))
        if key not in self._skeletons:
            self._skeletons[key] = self._skeleton(roles, tools, arguments)
        return self._skeletons[key]

    def _skeleton(self, roles, tools, arguments) -> Skeleton | None:
        marks = [f"\ue000{index}\ue001" for index in range(len(roles))]
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks)]
        text = self.render(messages, tools, **arguments)
        bare = self.render(messages, tools, prompt=False, **arguments)
        if text is None or bare is None or any(text.count(mark) != 1 for mark in marks):
            return None
        header = text.removeprefix(bare) if text.startswith(bare) else ""
        pieces, rest = [], text
        for mark in marks:
            piece, found, rest = rest.partition(mark)
            if not found:
                return None  # the template changes the order
            pieces.append(piece)
        pieces = [*pieces, rest.removesuffix(header) if header else rest]
        return Skeleton((self.without_bos(pieces[0])[1], *pieces[1:]), header)

    @cached_property
    def bos_stands_alone(self) -> bool:
        """Whether BOS only marks the start of a text. A ChatML tokenizer may use its turn marker as BOS."""
        bos = self.tokenizer.bos_token
        two = self.render([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], prompt=False)
        return bool(bos) and two is not None and two.count(bos) <= 1

    def without_bos(self, text: str) -> tuple[int, str]:
        """How many start tokens a text begins with, and the rest of it."""
        count, bos = 0, self.tokenizer.bos_token
        while self.bos_stands_alone and text.startswith(bos):
            count, text = count + 1, text[len(bos) :]
        return count, text

    @cached_property
    def special(self) -> tuple[str, ...]:
        """The texts of all special tokens."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {}).values()
        return tuple({str(token) for token in added if token.special} | set(self.tokenizer.all_special_tokens))

    @cached_property
    def day(self) -> re.Pattern | None:
        """The date that the template writes, on whatever day; None if it writes none."""
        parts = [re.split(r"%-?([a-zA-Z])", form) for form in date_formats(self.tokenizer)]
        forms = [
            "".join(DAY.get(part, r"\d{1,2}") if at % 2 else re.escape(part) for at, part in enumerate(form))
            for form in parts
        ]
        return re.compile("|".join(forms)) if forms else None

    @cached_property
    def default_system(self) -> str:
        """The system text that the template adds if there is no system message; else ""."""
        explicit, without = self.skeleton(("system", "user")), self.skeleton(("user",))
        if explicit is None or without is None:
            return ""
        (before, between, _), start = explicit.markup, without.markup[0]
        framed = start.startswith(before) and start.endswith(between) and len(start) > len(before) + len(between)
        return start[len(before) : len(start) - len(between)] if framed else ""

    @cached_property
    def first_user(self) -> str | None:
        """The markup before a first user turn without any system turn, not even the default one."""
        explicit, without = self.skeleton(("system", "user")), self.skeleton(("user",))
        if not self.default_system:
            return without and without.markup[0]
        _, between, end = explicit.markup
        return between.removeprefix(end) if between.startswith(end) else None

    @cached_property
    def arguments(self) -> list[dict]:
        """The template's keyword arguments besides the standard ones, each on and off."""
        names = set()
        for text in _texts(self.tokenizer):
            try:
                names |= meta.find_undeclared_variables(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text))
            except (TemplateError, RecursionError):
                continue  # transformers adds tags of its own, such as `generation`
        special = {name for name in names if name.endswith("_token")}
        names = sorted(names - ARGUMENTS - special - {"enable_thinking"})
        return [{name: on} for name in ["enable_thinking", *names][:MOST_ARGUMENTS] for on in (True, False)]

    def contents(self, messages: list[dict], text: str, tools=None) -> list[tuple[int, int]] | None:
        """Where each message's content is in a rendered prompt: (start, end) in characters; None if not found."""
        skeleton = self.skeleton(tuple(message["role"] for message in messages), tools)
        if skeleton is None:
            return None
        at, spans = len(text) - len(self.without_bos(text)[1]), []
        for message, markup in zip(messages, skeleton.markup):
            at += len(markup)
            # Some templates strip.
            content = text_of(message)
            forms = (content, content.strip(), content.lstrip(), content.rstrip())
            found = next((form for form in forms if text.startswith(form, at)), None)
            if found is None or not text.startswith(markup, at - len(markup)):
                return None
            spans.append((at, at + len(found)))
            at += len(found)
        return spans if text[at:] == skeleton.end else None

    def spans(self, messages: list[dict], text: str, tools=None) -> list[tuple[int, int, str]]:
        """(start, end, role) of each content, and of a system text that the template adds."""
        roles = [message["role"] for message in messages]
        found = self.contents(messages, text, tools)
        if found is None:
            spans = _searched(messages, text)
        else:
            spans = [(start, end, role) for (start, end), role in zip(found, roles)]
        if "system" not in roles and self.default_system:
            start = text.find(self.default_system, 0, spans[0][0] if spans else None)
            if start >= 0:
                spans.insert(0, (start, start + len(self.default_system), "system"))
        return spans


def _searched(messages: list[dict], text: str) -> list[tuple[int, int, str]]:
    """For a template whose markup depends on the contents: search for each content in turn."""
    spans, at = [], 0
    for message in messages:
        for content in (text_of(message), text_of(message).strip()):
            start = text.find(content, at)
            if content and start >= 0:
                at = start + len(content)
                spans.append((start, at, message["role"]))
                break
    return spans
