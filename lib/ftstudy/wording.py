"""Numbers, names and counts in the words of a reader. The ids in JSON stay as they are."""

import re
from math import exp

FORMATS = {
    "aligned": "as in training",
    "historical": "the original app's prompt",
    "wrapped": "the wrapped form",
    "tagged": "the tagged form",
    "system": "your app's system text",
    "no system": "no system message",
    "user": "your app's wrapper",
    "template": "your app's hard-coded template",
    "no template": "no chat template",
    "missing BOS": "missing BOS",
    "doubled BOS": "doubled BOS",
    "earlier turns": "your app's earlier turns",
    "header": "your app's role headers",
    "white space": "your app's white space",
    "end": "your app's end of the prompt",
    "unread": "your app's prompts that can't be read",
}


def number(value, digits: int = 3, signed: bool = False) -> str:
    """Integers with thousands separators, floats with `digits` decimals, None as a dash, strings as they are."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return (f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}").replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else str(value)


def interval(bounds: list[float] | None, signed: bool = False) -> str:
    """A range: −0.300 to −0.196."""
    return "–" if bounds is None else f"{number(bounds[0], signed=signed)} to {number(bounds[1], signed=signed)}"


def count(amount: int, one: str, many: str = "") -> str:
    """A counted noun: 1 error, 2 errors, 1,075 replies. `many`: an irregular plural."""
    return f"{amount:,} {one if amount == 1 else many or plural(one)}"


def plural(noun: str) -> str:
    return re.sub("(?<![aeiou])y$", "ie", noun) + "s"


def gigabytes(bytes: float) -> str:
    """1.1 GB, 12 MB"""
    return f"{bytes / 1e9:,.1f} GB" if bytes >= 95e6 else f"{max(1, round(bytes / 1e6))} MB"


# The key of privacy.mask's counts for names that stay.
NOT_MASKED = "names not masked because they are also ordinary words"
MASKED = {
    "phone": ("phone number", ""),
    "email": ("e-mail address", "e-mail addresses"),
    "card": ("card or account number", ""),
    "address": ("street address", "street addresses"),
    "id": ("number of identity", "numbers of identity"),
    "username": ("user name", ""),
    "ip": ("IP address", "IP addresses"),
    "mac": ("MAC address", "MAC addresses"),
    NOT_MASKED: ("name not masked because it is also an ordinary word", NOT_MASKED),
}


def masked(counts: dict[str, int]) -> str:
    """What was masked, from privacy.mask's counts: 5 names, 3 phone numbers; 1 name not masked because …"""
    said = {what: count(amount, *MASKED.get(what, (what, ""))) for what, amount in counts.items()}
    left = said.pop(NOT_MASKED, "")
    return "; ".join(filter(None, [", ".join(said.values()) or "nothing", left]))


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def uncapitalized(text: str) -> str:
    return text[:1].lower() + text[1:]


def listed(items: list[str]) -> str:
    """An enumeration: a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1] if items else ""]))


def sentence(title: str) -> str:
    """A title with a full stop, unless it ends in one."""
    return title if title.endswith((".", "!", "?")) else f"{title}."


def more_likely(nats: float) -> str:
    """A difference in nats per token as a change in a token's likelihood, exp(−nats) − 1: "27% more likely"."""
    ratio = exp(min(-nats, 700))
    if ratio >= 3:
        return f"{number(ratio, 0 if ratio >= 10 else 1)} times as likely"
    percent = 100 * abs(ratio - 1)
    if percent < 0.05:
        return "equally likely"
    digits = 1 if percent < 1 or percent > 99 else 0
    return f"{percent:.{digits}f}% {'more' if ratio > 1 else 'less'} likely"


def effect(nats: float | None, bounds: list[float] | None) -> str:
    """A difference: 27% more likely (−0.238 nats per token, 95% interval −0.300 to −0.196)."""
    if nats is None:
        return "not measured"
    certainty = f", 95% interval {interval(bounds, signed=True)}" if bounds else ""
    return f"{more_likely(nats)} ({number(nats, signed=True)} nats per token{certainty})"


def corrected(row: dict) -> str:
    """What follows "not distinguishable" where the interval alone excludes zero: " after correction for 6 comparisons"."""
    bounds, family = row.get("interval"), row.get("family")
    if row["verdict"] != "not distinguishable" or not family or not bounds or bounds[0] <= 0 <= bounds[1]:
        return ""
    return f" after correction for {count(family['size'], 'comparison')}"


def verdict(row: dict) -> str:
    return row["verdict"] + corrected(row)


def needed(row: dict) -> str:
    """How many replies would tell small differences apart, as a sentence; empty if the row doesn't say."""
    sizes = [
        f"{one['nats']:g} nats, about {one['replies']:,} replies from {one['conversations']:,} conversations"
        if one["conversations"]
        else f"{one['nats']:g} nats, more training seeds"
        for one in row.get("needed") or []
    ]
    return f" A verdict would take, on a difference of {'; of '.join(sizes)}." if sizes else ""


def format_name(name: str) -> str:
    """What a reader calls a prompt format: "aligned" is "as in training". A profile keeps its own name."""
    if name in FORMATS:
        return FORMATS[name]
    if shots := re.fullmatch(r"aligned(, \d+ (?:similar )?examples)", name):
        return FORMATS["aligned"] + shots[1]
    parts = name.split(" + ")
    return " + ".join(FORMATS[part] for part in parts) if all(part in FORMATS for part in parts) else name


def arm_name(model: str, name: str) -> str:
    """An arm for a reader: its model and its format."""
    return f"{model}, {format_name(name)}"


def prompted(name: str) -> str:
    """How a model was asked: as in training, with the original app's prompt, with the prompt “mine”."""
    shown = format_name(name)
    if shown.startswith(FORMATS["aligned"]):
        return shown
    return f"with {shown}" if shown != name else f"with the prompt “{name}”"
