"""An app's prompt next to training's, piece by piece: each piece has one aspect in which the two may differ.

The app's prompt is read as turns of the model's chat template. Joined, the pieces of one side are its whole prompt,
so that a prompt with any of the aspects taken from the app is made by choosing a side for each piece.
"""

import json
from functools import lru_cache
from typing import NamedTuple

from .. import chat_format
from ..audit.parity.reading import Reading, Span, Turn, squeezed
from ..audit.parity.turns import Prompts, read_prompts
from ..chat_format.template import Template


class Piece(NamedTuple):
    """Two texts; token ids where a prompt can't be read."""

    aspect: str  # a key of `prompt_formats.FAULTS`; empty if both sides are the same
    training: str | list[int]
    app: str | list[int]


class Side(NamedTuple):
    text: str
    turns: list[Turn]
    spans: list[Span]  # of the contents, without the white space around them


def of_prompt(example: dict, tokenizer, app: dict, where: tuple[str, int] | None) -> tuple[Piece, ...]:
    """The pieces of one example's two prompts: a single one if the app doesn't write turns as the chat template does.

    Raises StudyError, or anything that the chat template raises.
    """
    messages, tools = example["messages"][:-1], example.get("tools")
    prompts = messages, chat_format.prompt_of(example, app, where, tokenizer)
    ids = [chat_format.encoded(prompt, tokenizer, tools) for prompt in prompts]
    texts = [_text(prompt, own, tokenizer, tools) for prompt, own in zip(prompts, ids)]
    found = None
    if None not in texts and all(isinstance(message.get("content"), str) for message in messages):
        found = _of_texts(tokenizer, json.dumps([messages, tools]), *texts)
    return found or (_piece("unread", *ids),)


def joined(pieces: tuple[Piece, ...], aspects: set[str], tokenizer) -> list[int]:
    """The prompt with these aspects as the app has them and all others as in training: with none of them exactly
    training's token ids, with all of them exactly the app's."""
    first, *rest = (piece.app if piece.aspect in aspects else piece.training for piece in pieces)
    return first if isinstance(first, list) else _encode("".join([first, *rest]), tokenizer)


def _encode(text: str, tokenizer) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _text(prompt, ids: list[int], tokenizer, tools) -> str | None:
    """The text with all special tokens that has these token ids; None if there is none."""
    if isinstance(prompt, str):
        texts = [prompt, (tokenizer.bos_token or "") + prompt]
    elif isinstance(prompt[0], dict):
        texts = [chat_format.template_text(prompt, tokenizer, tools, prompt=True)]
    else:
        texts = [tokenizer.decode(ids)]
    return next((text for text in texts if _encode(text, tokenizer) == ids), None)


@lru_cache(maxsize=8)
def _template(tokenizer) -> Template:
    return Template(tokenizer)


@lru_cache(maxsize=4096)  # every combination of aspects asks for the same pieces
def _of_texts(tokenizer, row: str, training: str, app: str) -> tuple[Piece, ...] | None:
    (messages, tools), template = json.loads(row), _template(tokenizer)
    example = {"messages": [*messages, {"role": "assistant", "content": ""}], "tools": tools}
    prompts = read_prompts(example, template, training, app)
    # Start tokens after white space are read as if before it: then the pieces don't join to the prompt.
    if any(side.skeleton is None or side.start + side.text != side.full for side in prompts[:2]):
        return None
    trained, asked = _side(prompts.training), _side(prompts.inference)
    start = (prompts.training.start, prompts.inference.start)
    aspect = "missing BOS" if len(start[1]) < len(start[0]) else "doubled BOS"
    return _piece(aspect, *start), *_of_sides(trained, asked, _pairs(prompts), template)


def _side(reading: Reading) -> Side:
    spans = [_stripped(reading.text, span) for span in reading.spans]
    return Side(reading.text, [(role, reading.text[slice(*span)]) for role, span in zip(reading.roles, spans)], spans)


def _stripped(text: str, span: Span) -> Span:
    start, end = span
    content = text[start:end]
    end -= len(content) - len(content.rstrip())
    return min(end, start + len(content) - len(content.lstrip())), end


def _pairs(prompts: Prompts) -> list[tuple[int, int]]:
    """Which turn of training corresponds to which of the app, in the order of both."""
    known = [*prompts.pairs, *([prompts.systems] if None not in prompts.systems else [])]
    pairs, left = [], len(prompts.training.roles)
    for pair in sorted(known, key=lambda pair: pair[1], reverse=True):
        if pair[0] < left:
            left = pair[0]
            pairs.append(pair)
    return pairs[::-1]


def _of_sides(trained: Side, asked: Side, pairs: list[tuple[int, int]], template: Template) -> list[Piece]:
    users = [pair for pair in pairs if trained.turns[pair[0]][0] == "user"]
    changed = [_is_changed(trained, asked, pair) for pair in users]
    aspects = [
        _of_content(trained, asked, pair, template.default_system, len(users) > 1 and all(changed)) for pair in pairs
    ]
    found, before, ends = [], (-1, -1), (0, 0)
    for at, pair in enumerate([*pairs, (len(trained.turns), len(asked.turns))]):
        spans = [
            side.spans[turn] if turn < len(side.turns) else (len(side.text), len(side.text))
            for side, turn in zip((trained, asked), pair)
        ]
        between = [
            Between(side.text[end:start], side.turns[first + 1 : turn])
            for side, end, (start, _), first, turn in zip((trained, asked), ends, spans, before, pair)
        ]
        near = [aspects[one] if 0 <= one < len(pairs) else "" for one in (at - 1, at)]
        found += _of_between(*between, near, template, at == 0, at == len(pairs))
        if at < len(pairs):
            found.append(_piece(aspects[at], *(side.text[slice(*span)] for side, span in zip((trained, asked), spans))))
        before, ends = pair, [end for _, end in spans]
    return found


class Between(NamedTuple):
    """What one side has between two turns that both sides have."""

    text: str
    turns: list[Turn]  # that only this side has


def _is_changed(trained: Side, asked: Side, pair: tuple[int, int]) -> bool:
    left, right = (side.turns[at][1] for side, at in zip((trained, asked), pair))
    return squeezed(left) != squeezed(right)


def _of_content(trained: Side, asked: Side, pair: tuple[int, int], default: str, is_shared: bool) -> str:
    """The aspect in which the contents of two turns differ; `is_shared`: all user turns differ."""
    (role, ours), (_, theirs) = trained.turns[pair[0]], asked.turns[pair[1]]
    if not _is_changed(trained, asked, pair):
        return "" if ours == theirs else "white space"
    if role == "system":
        return "no system" if theirs.strip() in ("", default.strip()) else "system"
    last = max((at for at, (one, _) in enumerate(trained.turns) if one == "user"), default=-1)
    is_last = role != "assistant" and pair[0] >= last
    return "user" if is_last or role == "user" and is_shared else "earlier turns"


def _of_between(
    ours: Between, theirs: Between, near: list[str], template: Template, is_start: bool, is_end: bool
) -> list[Piece]:
    """The pieces between two turns that both sides have; `near`: the aspects of these two."""
    texts = ours.text, theirs.text
    if ours.text == theirs.text:
        return [Piece("", *texts)]
    missing, added = ([role for role, _ in side.turns] for side in (ours, theirs))
    if missing or added:
        return _of_turns(ours, theirs, missing, {*missing, *added}, template, is_start, is_end)
    if squeezed(ours.text) == squeezed(theirs.text):
        return [_piece(_of_blank(*texts, *near), *texts)]
    if is_end:
        left, right = (text.strip() for text in texts)
        return [_piece("end" if left.startswith(right) or right.startswith(left) else "header", *texts)]
    default = template.default_system
    return [_piece("system" if is_start and default and default in "".join(texts) else "header", *texts)]


def _of_turns(
    ours: Between,
    theirs: Between,
    missing: list[str],
    roles: set[str],
    template: Template,
    is_start: bool,
    is_end: bool,
) -> list[Piece]:
    """The pieces of a stretch in which one side has turns that the other lacks; `roles`: of all these turns, and
    `missing`: of those that the app leaves out."""
    texts = ours.text, theirs.text
    system = "no system" if "system" in missing else "system"
    if roles == {"system"}:
        return [_piece(system, *texts)]
    if is_end:
        return [_piece("user" if "user" in missing else "end", *texts)]
    default = template.default_system
    has_default = [bool(default) and default in text for text in texts]
    is_other = is_start and ("system" in roles or has_default[0] != has_default[1])
    cuts = [_after_system(side, template) for side in (ours, theirs)] if is_other else [0, 0]
    if None in cuts:
        return [_piece("earlier turns", *texts)]
    return [
        _piece(system, *(text[:cut] for text, cut in zip(texts, cuts))),
        _piece("earlier turns", *(text[cut:] for text, cut in zip(texts, cuts))),
    ]


def _after_system(side: Between, template: Template) -> int | None:
    """Where the first user turn's markup begins in a side's text; None if the template doesn't separate the two."""
    first, has_system = template.first_user, side.turns[:1] and side.turns[0][0] == "system"
    if not first:
        return None
    start = side.text.find(first, len(side.turns[0][1]) if has_system else 0)
    return start if start >= 0 else None


def _of_blank(ours: str, theirs: str, before: str, after: str) -> str:
    """The aspect of white space: that of a changed content, if it is at that content's edge."""
    if after and ours.rstrip() == theirs.rstrip():
        return after
    return before if before and ours.lstrip() == theirs.lstrip() else "white space"


def _piece(aspect: str, ours: str, theirs: str) -> Piece:
    return Piece(aspect if ours != theirs else "", ours, theirs)
