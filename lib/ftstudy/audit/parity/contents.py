"""Which turns of two prompts are others: what they hold in, check ids out."""

from difflib import SequenceMatcher

from ..evidence import counted
from .reading import squeezed

Told = dict[str, tuple[str, str, str]]  # check id -> text in training, text at inference, note
Turn = tuple[str, str]  # role, text


def of_turns(trained: list[Turn], asked: list[Turn], default: str, shows_default: bool) -> tuple[Told, dict[int, int]]:
    """What differs, and turn at inference -> its partner in training. `default` is the
    system text that the template puts in, where there is no system turn; `shows_default`: the app's prompt has it."""
    systems = [next((at for at, (role, _) in enumerate(turns) if role == "system"), None) for turns in (trained, asked)]
    texts = [None if at is None else turns[at][1] for at, turns in zip(systems, (trained, asked))]
    found = of_system(*texts, default, shows_default)
    if None not in systems and (systems[0] == 0) != (systems[1] == 0):
        found.setdefault("parity.system_text", (trained[0][1], asked[0][1], "the system turn stands elsewhere"))
    rest = [[at for at in range(len(turns)) if at != own] for turns, own in zip((trained, asked), systems)]
    pairs, missing, added = _aligned(trained, asked, *rest)
    others = [(left, right) for left, right in pairs if trained[left][0] != asked[right][0]]
    for left, right in others[:1]:
        found["parity.role_header"] = (*(": ".join(turn) for turn in (trained[left], asked[right])), "the same text")
    kept = [index for index in range(len(trained)) if index not in missing]
    last = _last_user(trained)
    if last in missing:
        missing.remove(last)
        found["parity.user_wrapper"] = (trained[last][1], "", "the last user turn is missing")
    _of_number(found, [trained[at] for at in missing], [asked[at] for at in added])
    changed = {left: (trained[left][1], asked[right][1]) for left, right in pairs if (left, right) not in others}
    for check, told in of_contents(trained, changed, kept).items():
        found.setdefault(check, told)
    if None not in systems:
        pairs.append(tuple(systems))
    return found, {right: left for left, right in pairs}


def of_system(before: str | None, after: str | None, default: str, shows_default: bool) -> Told:
    """None: there is no system turn."""
    if before is None and after is None:
        return {"parity.default_system": (default, "", "")} if default and not shows_default else {}
    if after is None:
        note = "the template puts its own in" if shows_default else ""
        return {"parity.default_system": (before, default if shows_default else "", note)}
    if before is None:
        return {"parity.default_system": (default, after, "training has no system message")}
    if before == after:
        return {}
    if squeezed(before) == squeezed(after):
        return {"parity.whitespace": (*cut(before, after), "")}
    if not before.strip() or not after.strip() or after.strip() == default.strip():
        return {"parity.default_system": (*cut(before, after), "")}
    return {"parity.system_text": (*cut(before, after), "")}


def of_contents(trained: list[Turn], changed: dict[int, tuple[str, str]], kept: list[int]) -> Told:
    """What is said of contents: of the last user turn, or where all have a form of their own, it is the wrapper;
    else of an earlier turn. `changed`: index in training -> both texts; `kept`: the turns that the app has too."""
    different = {at for at, (before, after) in changed.items() if squeezed(before) != squeezed(after)}
    last, found = _last_user(trained), {}
    shared = last in different and all(at in different for at in kept if trained[at][0] == "user")
    for at in sorted(changed, key=lambda at: (at != last, at)):
        before, after = changed[at]
        if before == after:
            continue
        role = trained[at][0]
        if at not in different:
            check = "parity.whitespace"
        elif role == "system":
            check = "parity.system_text"
        elif role != "assistant" and at >= last or role == "user" and shared:
            check = "parity.user_wrapper"
        else:
            check = "parity.earlier_replies"
        found.setdefault(check, (*cut(before, after), ""))
    return found


def _of_number(found: Told, missing: list[Turn], added: list[Turn]) -> None:
    """Turns that only one side has."""
    for check, is_system in (("parity.system_text", True), ("parity.earlier_replies", False)):
        gone, more = ([turn for turn in turns if (turn[0] == "system") == is_system] for turns in (missing, added))
        if not gone and not more:
            continue
        keys = [sorted((role, squeezed(text)) for role, text in turns) for turns in (gone, more)]
        notes = [f"{counted(len(gone), 'turn')} missing"] * bool(gone) + [f"{counted(len(more), 'turn')} added"] * bool(
            more
        )
        note = "the same turns in another order" if keys[0] == keys[1] else ", ".join(notes)
        sides = ["\n".join(": ".join(turn) for turn in turns) for turns in (gone, more)]
        found.setdefault(check, (*sides, note))


def _aligned(trained: list[Turn], asked: list[Turn], left: list[int], right: list[int]) -> tuple[list, list, list]:
    """(pairs, indexes only in training, indexes only at inference). Turns are paired that have the same text; then,
    between these, those of the same role, or of the same text, from the end."""
    keys = [[(turns[at][0], squeezed(turns[at][1])) for at in of] for turns, of in ((trained, left), (asked, right))]
    pairs, missing, added = [], [], []
    for _, a0, a1, b0, b1 in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        for offset in range(1, max(a1 - a0, b1 - b0) + 1):
            one, other = a1 - offset, b1 - offset
            both = one >= a0 and other >= b0
            if both and any(mine == theirs for mine, theirs in zip(keys[0][one], keys[1][other])):
                pairs.append((left[one], right[other]))
                continue
            missing += left[max(a0, one) : one + 1]
            added += right[max(b0, other) : other + 1]
    return pairs, sorted(missing), sorted(added)


def _last_user(turns: list[Turn]) -> int:
    return max((at for at, (role, _) in enumerate(turns) if role == "user"), default=-1)


def cut(left: str, right: str, around: int = 20) -> tuple[str, str]:
    """Two texts without most of what they begin and end with in common."""
    start = next((at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    longest = min(len(left), len(right)) - start
    end = next((at for at in range(longest) if left[-1 - at] != right[-1 - at]), longest)
    first = max(0, start - around)
    kept = [text[first : max(start, len(text) - max(0, end - around))] for text in (left, right)]
    return tuple(("…" if first else "") + text for text in kept)
