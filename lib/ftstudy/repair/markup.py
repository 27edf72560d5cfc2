"""Rendered turns inside texts are read back into turns, and control tokens are taken out."""

import re

from ..audit.content import control_tokens, text_rows
from ..audit.content.control_tokens import OTHER_MODELS, RENDERED, RESIDUE, THOUGHTS, TURNS, WELL_KNOWN, WRITES
from ..chat_format.conversions import ROLES
from ..chat_format.read_back import read_back
from ..chat_format.template import Template
from ..wording import count
from .chats import TEXT, Changes, audited, by_place, conversations, worded, written
from .turns import joined

SIDES = ROLES | {"instruction": "user", "inst": "user", "response": "assistant", "sys": "system", "developer": "system"}
WORD = re.compile(r"[A-Za-z]+")
TIMES = 3  # as often may a text have been rendered again
Pieces = list[tuple[str | None, str]]
"""(role, text) in order; None before the first header."""


def as_turns(draft: dict, inputs) -> tuple[dict, list[str]]:
    """The turns that messages and texts contain as rendered markup become messages, and control tokens go."""
    lines = set()
    for _ in range(TIMES):
        changes = _changes(draft, inputs)
        made = written(draft, inputs, changes)
        # A text may be rendered again just as it was.
        lines |= {(name, at) for name, at in changes if made["rows"][name][at - 1] != draft["rows"][name][at - 1]}
        draft = made
    notes = [f"The markup in {count(len(lines), 'row')} was read back into turns, or taken out"] if lines else []
    return draft, notes


def _changes(draft: dict, inputs) -> Changes:
    made, chats = audited(draft, inputs), conversations(draft, inputs)
    tokenizer = made.tokenizer_or_none
    cleaner, changes = _Cleaner(tokenizer), {}
    hits = set().union(*control_tokens.find(worded(chats), tokenizer))
    for place, row in by_place(chats).items():
        if place in hits:
            messages = cleaner.messages(row["messages"])
            if messages and messages != row["messages"]:
                changes[place] = messages
    texts = {name: made.texts(name) for name in made.splits}
    given = by_place(texts)
    for name, line, _ in text_rows.foreign_markup(texts, tokenizer):
        pieces = [piece for piece in cleaner.pieces(given[name, line], TEXT) if not _is_nothing(*piece)]
        turns = joined([{"role": role, "content": text} for role, text in pieces])
        plain = "\n".join(text for _, text in pieces)
        if [turn["role"] for turn in turns if turn["role"] != "system"][-2:] == ["user", "assistant"]:
            if None not in (role for role, _ in pieces):
                changes[name, line] = turns
        if (name, line) not in changes and plain and plain != given[name, line]:
            changes[name, line] = [{"role": TEXT, "content": plain}]
    return changes


def _is_nothing(role: str | None, text: str) -> bool:
    """Whether a piece says nothing: before the first header, that includes another model's start token."""
    return not (text if role else OTHER_MODELS.sub("", text).strip())


class _Cleaner:
    """What a tokenizer's control tokens are, and how texts are freed from them."""

    def __init__(self, tokenizer):
        self.tokens = control_tokens.control_tokens(tokenizer)
        self.odd_shaped = [token for token in self.tokens if not control_tokens.SHAPE.fullmatch(token)]
        self.header = control_tokens.turn_header(tokenizer)
        self.blocks = control_tokens.blocks_of(tokenizer)
        self.opened = control_tokens.opened_by(tokenizer, self.blocks)
        self.template = Template(tokenizer) if tokenizer is not None else None

    def messages(self, messages: list[dict]) -> list[dict]:
        """The messages, with those that contain turns replaced by them."""
        made, last = [], len(messages) - 1
        for at, message in enumerate(messages):
            content = message.get("content")
            if not isinstance(content, str):
                made.append(message)
                continue
            is_reply = at == last and message["role"] == "assistant"
            pieces = self.pieces(content, message["role"], is_reply)
            said = [(role or message["role"], text) for role, text in pieces if text]
            if len(pieces) == 1 or not said:
                made.append(message | {"content": said[0][1] if said else ""})
            else:
                made += [message | {"role": role, "content": text} for role, text in said]
        return made if made == messages else joined(made)

    def pieces(self, text: str, role: str, is_reply: bool = False) -> Pieces:
        """A text as turns, each without control tokens."""
        if self.template is not None and role != "assistant" and (turns := read_back(text, self.template)):
            return [(turn["role"], turn["content"]) for turn in turns]
        found, at, side = [], 0, None
        for start, end, next_side in _headers(text, self.header):
            found.append((side, text[at:start]))
            at, side = end, next_side
        found.append((side, text[at:]))
        made = [(side, self._bare(part, side or role, is_reply and side is None)) for side, part in found]
        return made if len(made) == 1 else [(side, part.strip()) for side, part in made]

    def _bare(self, text: str, role: str, is_reply: bool) -> str:
        """A text without control tokens; whole blocks that the model writes itself stay."""
        bare = text
        if role in WRITES:
            for start, end in THOUGHTS:
                if (start, end) not in self.blocks:
                    bare = re.sub(rf"{re.escape(start)}.*?{re.escape(end)}\s*", "", bare, flags=re.DOTALL)
        while True:
            opened = self.opened if is_reply else None
            whole = control_tokens.without_blocks(bare, self.blocks, opened) if role in WRITES else bare
            place = control_tokens.control(whole, self.tokens, self.odd_shaped)
            if place is None:
                typed = OTHER_MODELS.search(whole) if role != TEXT else WELL_KNOWN.search(whole)
                place = typed and typed.span()
            if place is None:
                return bare if bare == text else bare.strip()
            bare = bare[: place[0]] + bare[place[1] :]


def _headers(text: str, header: str | None) -> list[tuple[int, int, str]]:
    """(start, end, role) of the headers of turns in a text, in order."""
    found = [(match.start(), match.end(), _side(match[0])) for match in RENDERED.finditer(text)]
    if not found and header:
        found = [(match.start(), match.end(), "assistant") for match in re.finditer(re.escape(header), text)]
    start, end = RESIDUE
    if not found and text.lstrip().startswith(start) and text.rstrip().endswith(end):
        lines = re.finditer(r"^(\w+)$", text, re.MULTILINE)
        found = [(line.start(), line.end(), SIDES[line[1]]) for line in lines if line[1] in SIDES]
    for first, second in TURNS if len(found) < 2 or "[INST]" in text else ():
        if 0 <= text.find(first) < text.rfind(second):
            found += [(match.start(), match.end(), "user") for match in re.finditer(re.escape(first), text)]
            found += [(match.start(), match.end(), "assistant") for match in re.finditer(re.escape(second), text)]
            break
    made, at = [], 0
    for start, end, side in sorted(found):
        if start >= at and side:
            made.append((start, end, side))
            at = end
    return _with_system_closed(text, made)


def _with_system_closed(text: str, headers: list) -> list[tuple[int, int, str]]:
    """After <</SYS>>, the user goes on."""
    closing = [(match.start(), match.end(), "user") for match in re.finditer("<</SYS>>", text)]
    return sorted([*headers, *closing]) if headers else headers


def _side(header: str) -> str | None:
    """The role that a header names."""
    words = [word.casefold() for word in WORD.findall(header)]
    return next((SIDES[word] for word in reversed(words) if word in SIDES), None)
