"""Which turns does a prompt's text have? Found by the borders that a chat template writes between turns."""

import re
from functools import lru_cache
from itertools import product

from ...chat_format.template import Template

MOST = 400  # turns that are looked for
Turns = tuple[tuple[str, ...], tuple[int | None, ...]]  # roles, and the training message that each may be


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


def _plainly(text: str) -> str:
    return " ".join(text.split())


@lru_cache(1000)
def words(markup: str, special: tuple[str, ...]) -> tuple[str, ...]:
    """What white space may stand between: special tokens, and words."""
    tokens = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True) if token) or r"(?!)"
    return tuple(re.findall(rf"{tokens}|(?:(?!{tokens})\S)+", markup))


def spaced(markup: str, special: tuple[str, ...]) -> str:
    """A pattern: the markup with any white space in it."""
    return r"\s*".join(map(re.escape, words(markup, special)))


def turns_in(text: str, messages: list[dict], known: list[str], template: Template, tools) -> list[Turns]:
    """The turns that a text may have: those found in it, and the training conversation's with and
    without a system turn, for a text that begins in another way. `known` are the contents in training."""
    roles = tuple(message["role"] for message in messages)
    own = tuple(range(len(roles)))
    text, known = _plainly(text), [_plainly(content) for content in known]  # white space says nothing of turns
    has_system = roles[:1] == ("system",)
    found = [(roles, own), (roles[1:], own[1:]) if has_system else (("system", *roles), (None, *own))]
    for role, at in _starts(text, roles, template, tools):
        turns = _scanned(text, at, role, roles, known, template)
        while turns and turns[-1][0] == "assistant" and not turns[-1][1].strip():
            turns.pop()  # the header of the reply
        while turns:
            found.append((tuple(role for role, _ in turns), _sources(turns, roles, known)))
            if turns.pop()[0] != "assistant":  # else it may be a reply that the app has begun
                break
    return [turns for turns in dict.fromkeys(found) if turns[0]]


def _starts(text: str, roles: tuple, template: Template, tools) -> list[tuple[str, int]]:
    """(role of the first turn, where its content begins), of each that the text may begin with."""
    found = []
    for role in dict.fromkeys(("system", "user", *roles[:1])):
        # Not `assistant` alone: a template that wants users and assistants by turns takes that of no row.
        skeletons = [template.skeleton((role, "user")[: 1 + (role == "system")], one) for one in (tools, None)]
        markups = [skeleton.markup[0] for skeleton in skeletons if skeleton]
        markups += [template.first_user] if role == "user" and template.first_user is not None else []
        matches = [re.match(r"\s*+" + spaced(markup, template.special), text) for markup in markups]
        found += [(role, max(match.end() for match in matches if match))] if any(matches) else []
    return found


def _scanned(text: str, at: int, role: str, roles: tuple, known: list[str], template: Template) -> list:
    """(role, content) of each turn. A training content is taken whole, whatever it contains."""
    key = tuple(sorted({"system", "user", "assistant", *roles}))
    if key not in template.borders:
        template.borders[key] = _borders(template, key)
    borders = template.borders[key]
    literal = {
        one: sorted({text.strip() for of, text in zip(roles, known) if of == one and text.strip()}, key=len)[::-1]
        for one in set(roles)
    }
    turns = []
    while role and len(turns) < MOST:
        border, following = borders.get(role, (re.compile("(?!)"), ()))
        end, match = len(text), border.search(text, at)
        start = _behind_space(text, at)
        for content in literal.get(role, ()):
            if text.startswith(content, start):
                behind = start + len(content)
                closed = border.match(text, behind) or border.match(text, _behind_space(text, behind))
                if closed:
                    match = closed
                    break
        if match:
            end = match.start()
        turns.append((role, text[at:end]))
        if not match:
            break
        at, role = match.end(), following[match.lastindex - 1]
    return turns


def _behind_space(text: str, at: int) -> int:
    return re.compile(r"\s*").match(text, at).end()


def _borders(template: Template, roles: tuple[str, ...]) -> dict[str, tuple[re.Pattern, tuple]]:
    """Role -> what may follow its content, and the role that each of these begins (None: no turn)."""
    found: dict[str, set[tuple[str, str | None]]] = {}
    for count in (1, 2, 3):
        for sequence in product(roles, repeat=count):
            skeleton = template.skeleton(sequence)
            if skeleton is None:
                continue
            *between, end = skeleton.markup[1:]
            for before, after, markup in zip(sequence, sequence[1:], between):
                found.setdefault(before, set()).add((markup, after))
            found.setdefault(sequence[-1], set()).update({(end, None), (skeleton.end, None)})
    borders = {}
    for role, markups in found.items():
        # White space alone is a border only if the template has no other.
        # Of turns with the same markup the usual one: many templates write any other role as they write a reply.
        ordered = sorted(markups, key=lambda one: (one[1] is not None, one[1] in ("user", "assistant")))
        visible = {spaced(markup, template.special): after for markup, after in ordered if markup.strip()}
        visible = visible or {r"\s+": after for markup, after in ordered if markup and after}
        longest = sorted(visible, key=len, reverse=True)
        if longest:
            borders[role] = re.compile("|".join(f"({one})" for one in longest)), tuple(visible[one] for one in longest)
    return borders


def _sources(turns: list[tuple[str, str]], roles: tuple, known: list[str]) -> tuple[int | None, ...]:
    """For each turn the training message that it is: one with its text, else one that no other turn has."""
    places: dict[tuple, list[int]] = {}
    for at, (role, text) in enumerate(zip(roles, known)):
        places.setdefault((role, squeezed(text)), []).append(at)
    sources: list[int | None] = []
    used: set[int] = set()
    last = -1
    for role, text in turns:
        same = places.get((role, squeezed(text)), [])
        at = min(same, key=lambda at: (at in used, at < last, at), default=None)
        sources.append(at)
        if at is not None:
            used.add(last := at)
    for role in set(roles):
        unknown = [at for at, (of, _) in enumerate(turns) if of == role and sources[at] is None]
        unused = [at for at, of in enumerate(roles) if of == role and at not in used]
        for at, source in zip(reversed(unknown), reversed(unused)):
            sources[at] = source
    return tuple(sources)
