"""The first screen of the report: the verdict in plain words, its tiles, and what to do next."""

from math import exp

from ..diagnosis import evidence, worst
from ..diagnosis.usability import BAD, ENDS, UNSOUND
from ..proof import result as proven
from ..wording import count, effect, listed, uncapitalized

MOST = 3  # commands
MANY = 200  # percent: anything more likely is “N times as likely”
FEW_CONVERSATIONS = 20  # fewer make wide intervals, and verdicts that other conversations may not repeat
TONES = {"good": "✓", "bad": "✗", "unsure": "≈", "unknown": "?", "warn": "!"}


def sign(found: dict, verdict: dict) -> str:
    """A sign for the verdict: usable, learned something, no use, not known."""
    row = evidence.gain(found, found["app"])
    if verdict["usable"] is None:
        return "?"
    return "✓" if verdict["usable"] else "◐" if row and row["verdict"] == "better" else "✗"


def lead(found: dict, verdict: dict, causes: list[dict]) -> list[dict]:
    """The verdict's proof in sentences, each {"text", "number" (in bold), "rest", "exact" (in nats)}.

    `found`: from `evidence.gather`; `causes`: of the diagnosis.
    """
    row = evidence.gain(found, found["app"])
    if row is None:
        return [_plain(verdict["sentence"])]
    said = [_gain(row)]
    failed = [one for one in verdict["steps"] if one["passed"] is False and one["step"] not in ("likelier", "measured")]
    start = "And" if row["verdict"] == "worse" else "But"
    said += [_plain(f"{start} {uncapitalized(BUT[one['step']](found))}") for one in failed[:1] if one["step"] in BUT]
    if found["proof"] and found["proof"]["faults"]:
        return [*said, _proof(found["proof"])]
    start = "It could still be better" if verdict["usable"] else "The likeliest cause"
    said += [_plain(f"{start}: {uncapitalized(one['what'])}.") for one in worst({"causes": causes})[:1]]
    return said


def _proof(found: dict) -> dict:
    """What the fix brought, in everyday words where it did bring something; `found`: the content of proof.json."""
    row, sentence = found["fixed"], found["sentence"]
    if found["was_broken"] or not proven.has_helped(found) or row["verdict"] != "better":
        return _plain(f"Fixed and trained again: {uncapitalized(sentence)}")
    nats, bounds = row["nats_per_reply_token"], row["interval"]
    sure = f" (95% sure: {likelier_range(bounds)})" if bounds else ""
    text, rest = "Fixed and trained again, it makes them ", f" than its base does{sure}."
    return {"text": text, "number": likelier(nats), "rest": rest, "exact": sentence}


def proof_mark(found: dict | None) -> tuple[str, str]:
    """The sign and the tone of a proof in the contents; `found`: the content of proof.json, if there is one."""
    if not found or not found["faults"]:
        return "", ""
    verdict = "better" if proven.has_helped(found) else found["helped"] and found["helped"]["verdict"]
    tone = {"better": "good", "worse": "bad"}.get(verdict, "unsure")
    return TONES.get(tone, ""), tone


def _plain(text: str) -> dict:
    return {"text": text, "number": "", "rest": "", "exact": ""}


def _gain(row: dict) -> dict:
    nats, bounds = row["nats_per_reply_token"], row["interval"]
    start = "Fine-tuning made the replies that were really sent"
    sure = f" (95% sure: {likelier_range(bounds)})" if bounds else " (too few conversations to say how sure that is)"
    if bounds and row["verdict"] == "not distinguishable":
        text, more, rest = f"{start} neither clearly more nor clearly less likely", "", f": {likelier(nats)}{sure}."
    else:
        text, more, rest = f"{start} ", likelier(nats), f", per word piece{sure}."
    return {"text": text, "number": more, "rest": rest, "exact": effect(nats, bounds)}


def likelier(nats: float) -> str:
    """A difference in nats per token in everyday words: "27% more likely", "3 times as likely"."""
    change = percent(nats)
    if change > MANY:
        return f"{_times(change)} times as likely"
    return f"{abs(change):.0f}% {'less' if change < 0 else 'more'} likely"


def likelier_range(bounds: list[float]) -> str:
    """An interval in nats as percentages, the lower end first: "22% to 35%", "3% less to 12% more", "2.1 to 4 times"."""
    low, high = percent(bounds[1]), percent(bounds[0])
    if high > MANY:
        return f"{_times(low)} to {_times(high)} times"
    if low < 0 < high:
        return f"{_percent(low)} less to {_percent(high)} more"
    low, high = sorted((abs(low), abs(high)))
    return f"{_percent(low)} to {_percent(high)}"


def _times(change: float) -> str:
    return f"{change / 100 + 1:,.{0 if change >= 900 else 1}f}"


def _percent(change: float) -> str:
    return f"{abs(change):,.0f}%"


def percent(nats: float) -> float:
    """How much more likely, in percent, a token is where its mean loss changes by so many nats: exp(−nats) − 1."""
    return 100 * (exp(min(-nats, 20)) - 1)


def _sound(found: dict) -> str:
    arm = evidence.writes(found)
    said = [f"{arm[key]:.0%} {words}" for words, key in BAD.items() if arm.get(key, 0) >= UNSOUND]
    return (
        f"of its replies, {listed(said)}."
        if said
        else "some of its replies are empty, repeat themselves or are copied."
    )


BUT = {  # what a failed step means, without its numbers
    "enough_data": lambda found: "there is too little held-out data to trust that.",
    "replies_end": lambda found: (
        f"only {evidence.writes(found)['end_of_turn_rate']:.0%} of its replies end by themselves."
    ),
    "replies_sound": _sound,
    "closer_in_style": lambda found: "it sounds no more like the person than the untrained model does.",
    "beats_examples": lambda found: (
        "the base does even better without any training, given a few examples in its prompt."
    ),
    "beats_similar_examples": lambda found: (
        "the base does even better without any training, given similar past conversations in its prompt."
    ),
}


# --- tiles -----------------------------------------------------------------------------------------------------------


def tiles(found: dict, parity: dict | None) -> list[dict]:
    """What was measured, a tile each: {"tone", "sign", "word", "value", "what", "note", "exact"}.

    `parity`: the app's side of `parity` in format_audit.json, None if the app is not known.
    """
    made = [_likelihood(found), _fixed(found), _ending(found), _parity(found, parity), _examples(found), _trust(found)]
    return [one | {"sign": TONES[one["tone"]]} for one in made if one]


def _tile(tone: str, word: str, value: str, what: str, note: str = "", exact: str = "") -> dict:
    return {"tone": tone, "word": word, "value": value, "what": what, "note": note, "exact": exact}


def _likelihood(found: dict) -> dict:
    row = evidence.gain(found, found["app"])
    what, note = "likelihood of the replies really sent", "against the base model"
    if row is None:
        return _tile("unknown", "not measured", "–", what, note)
    return _change(row, what, note)


def _change(row: dict, what: str, note: str) -> dict:
    """A tile of how much likelier the true replies are."""
    change = percent(row["nats_per_reply_token"])
    value = f"{change:+,.0f}%".replace("-", "−") if change <= MANY else f"×{_times(change)}"
    exact = effect(row["nats_per_reply_token"], row["interval"])
    if row["interval"] is None:
        return _tile("warn", "too few to say", value, what, note, exact)
    tone, word = {"better": ("good", "better"), "worse": ("bad", "worse")}.get(
        row["verdict"], ("unsure", "no clear change")
    )
    return _tile(tone, word, value, what, note, exact)


def _fixed(found: dict) -> dict | None:
    row = (found["proof"] or {}).get("fixed")
    if not row:
        return None
    return _change(row, "likelihood, once fixed", "against the base model, trained again")


def _ending(found: dict) -> dict:
    arm, base = evidence.writes(found), found["written"].get(("base", "aligned"))
    what = "of replies end by themselves"
    if not arm:
        return _tile("unknown", "not measured", "–", what)
    rate, loops, empty = arm["end_of_turn_rate"], arm.get("looping", 0), arm.get("empty", 0)
    note = f"base: {base['end_of_turn_rate']:.0%}" if base else ""
    if empty >= UNSOUND:
        return _tile("bad", "empty", f"{rate:.0%}", what, f"but {empty:.0%} are empty")
    if loops >= UNSOUND:
        note = f"{loops:.0%} repeat themselves" + (f"; {note}" if note else "")
    whole = ENDS * (1 - (arm.get("too_long") or 0))
    tone, word = ("good", "ends") if rate >= whole else ("bad", "broken")
    return _tile(tone, word, f"{rate:.0%}", what, note)


def _parity(found: dict, parity: dict | None) -> dict:
    what = "prompts differ between training and app"
    if parity is None or not parity["examples"]:
        return _tile("unknown", "not known", "–", what, "pass your app's prompt as INFERENCE=…")
    different = parity["examples"] - parity["identical"]
    value = f"{different:,} of {parity['examples']:,}"
    if not different:
        return _tile("good", "same", value, what, "token for token")
    row = found["between"].get(("tuned", found["app"], "tuned", "aligned"))
    if row is None:
        return _tile("bad", "differs", value, what, "what that costs was not measured")
    exact = effect(row["nats_per_reply_token"], row["interval"])
    if row["verdict"] != "worse":
        helps = "which helps" if row["verdict"] == "better" else "costs nothing that can be measured here"
        return _tile("warn", "differs", value, what, helps, exact)
    return _tile("bad", "differs", value, what, f"makes true replies {likelier(row['nats_per_reply_token'])}", exact)


def _examples(found: dict) -> dict | None:
    rows = [row for row in (evidence.against(found, retrieved) for retrieved in (False, True)) if row]
    if not rows:
        return None
    row = max(rows, key=lambda one: one["nats_per_reply_token"])  # what training has to beat
    shown = row["right"][1].removeprefix("aligned, ")
    exact = effect(row["nats_per_reply_token"], row["interval"])
    tone, word, does = {
        "better": ("good", "training wins", "do worse"),
        "worse": ("bad", "prompting wins", "do better"),
    }.get(row["verdict"], ("unsure", "no clear gain", "do about as well"))
    return _tile(tone, word, shown, f"in the base model's prompt {does}", "without any training", exact)


def _trust(found: dict) -> dict | None:
    arm = found["arms"].get(("tuned", found["app"])) or next(iter(found["arms"].values()), None)
    if arm is None:
        return None
    seeds = max(1, sum(one.get("option") == "B" for one in found["comparison"].get("models", [])))
    of = f"from {count(arm['conversations'], 'conversation')}, {count(seeds, 'training run')}"
    row = evidence.gain(found, found["app"])
    if row is None or row["interval"] is None:
        tone, word = "bad", "too little"
    elif arm["conversations"] < FEW_CONVERSATIONS or found["comparison"]["heldout"].get("leaked"):
        tone, word = "warn", "thin"
    else:
        tone, word = "good", "fair"
    leaked = found["comparison"]["heldout"].get("leaked")
    note = f"training gives away {leaked:,} of them" if leaked else "how far to trust this"
    return _tile(tone, word, count(arm["replies"], "reply"), of, note)


# --- what to do ------------------------------------------------------------------------------------------------------


def steps(diagnosed: dict, blind: str, pairs: int, judged: bool, proof: dict | None = None) -> list[dict]:
    """At most MOST things to do next, each {"title", "text", "command"}, the worst cause's fix first.

    `blind`: the command of the blind test, `pairs`: replies to choose between in it; `judged`: whether somebody has taken it;
    `proof`: the content of proof.json. A copy that was proved better only has to be trained.
    """
    if step := proven.next_step(proof):
        return [step]
    causes = []
    for cause in worst(diagnosed):
        if not any(cause["fix"] == one["fix"] or cause["apply"] and cause["apply"] == one["apply"] for one in causes):
            causes.append(cause)
    made = [
        {"title": one["fix"], "text": f"Because: {uncapitalized(one['what'])}.", "command": one["apply"]}
        for one in causes[:MOST]
    ]
    measures = any(one["apply"] and one["apply"] == one["prove"] for one in causes[:MOST])
    prove = next((one["prove"] for one in causes if one["prove"]), "")
    if prove and not measures:
        text = "The report then says whether it helped."
        made = [*made[: MOST - 1], {"title": "Then measure again.", "text": text, "command": prove}]
    if len(made) < MOST and pairs and not judged:
        text = f"{count(pairs, 'pair')} of replies in random order; a choice takes a few seconds."
        made.append({"title": "Judge by eye.", "text": text, "command": blind})
    return made
