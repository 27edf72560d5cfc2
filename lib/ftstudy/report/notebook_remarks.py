"""What a notebook's smaller results mean, in a sentence each; `conclusions` has those that the report shows, too.

Every function takes results as the notebooks have them and returns plain text.
"""

from ..wording import arm_name, count, listed, masked, more_likely, number


def masking(counts: dict[str, int], mask: bool) -> str:
    """`counts`: what privacy.mask replaced; `mask`: whether it was asked to."""
    if not mask:
        return "Nothing was masked, as asked: the rows contain names, numbers and addresses as they were typed."
    return f"Masked before anything is written or shown: {masked(counts)}."


def messages(kinds: list[dict]) -> str:
    """`kinds`: one row a kind of message, with `kind`, `rows` and `by_owner`."""
    total = sum(one["rows"] for one in kinds)
    texts, mine = (sum(one[key] for one in kinds if one["kind"] == "text") for key in ("rows", "by_owner"))
    return f"{texts:,} of {count(total, 'message')} are texts, {mine:,} of them yours: only those can become replies."


def funnel(steps: list[dict], variants: list[str]) -> str:
    """`steps`: `funnel` of extraction.json; those of a variant begin with its name."""
    all_share = [one for one in steps if one["step"].split(": ")[0] not in variants]
    lost = [one for one in all_share if one["removed"] and "other people" not in one["step"]]
    first, last = all_share[0], all_share[-1]
    text = f"{count(first['left'], 'message')} gave {count(last['left'], 'reply')} of yours."
    if not lost:
        return f"{text} Only what other people wrote was taken out, and it is the context."
    most = max(lost, key=lambda one: one["removed"])
    return f"{text} Besides what other people wrote, the largest step is “{most['step']}”: {most['removed']:,}."


def forms(rows: dict[str, list[dict]]) -> str:
    """`rows`: variant -> the messages of its first row."""
    sizes = {name: sum(len(one["content"]) for one in messages[:-1]) for name, messages in rows.items()}
    least, most = (choose(sizes, key=sizes.get) for choose in (min, max))
    if least == most:
        return f"Before the reply, the row has {count(sizes[least], 'character')}."
    return (
        f"What comes before the reply takes {count(sizes[least], 'character')} in {least} and {sizes[most]:,} in {most}; "
        "your app must send exactly the form that was trained."
    )


def staged(found: dict | None) -> str:
    """`found`: `staged` of format_audit.json."""
    if not found:
        return "The original report's configs were not staged in this run."
    empty = {when: sum(not row["lines"] for row in found[when]) for when in ("before", "after")}
    return (
        f"Before, {empty['before']} of {count(len(found['before']), 'config')} would train on nothing; after the "
        f"correction, {empty['after'] or 'none'} of {len(found['after'])}."
    )


def alignment(compared: dict) -> str:
    """`compared`: from `audit.parity.compare`."""
    sizes = {side: sum(len(one[side]) for one in compared["blocks"]) for side in ("training", "inference")}
    shared = sum(len(one["training"]) for one in compared["blocks"] if one["equal"])
    if shared == sizes["training"] == sizes["inference"]:
        return f"All {count(shared, 'token')} are the same on both sides."
    return (
        f"Of {count(sizes['training'], 'token')} in training, {shared} have a counterpart at inference, where the prompt "
        f"has {sizes['inference']}. Marked: those without."
    )


def termination(found: dict) -> str:
    """`found`: `termination` of a parity table."""
    if found["trained"]:
        return "The end of the turn is trained, so the model is taught to stop."
    return "The end of the turn is not trained, so nothing teaches the model to stop."


def masked_rows(rows: list[dict]) -> str:
    """`rows`: from `audit.masked_rows`."""
    tokens = [token for row in rows for token in row["tokens"]]
    if not tokens:
        return "There is no row to train on."
    kinds = dict.fromkeys(token["kind"].replace("_", " ") for token in tokens if token["trained"])
    trained = sum(token["trained"] for token in tokens)
    return (
        f"In {count(len(rows), 'row')}, {trained} of {count(len(tokens), 'piece')} of text carry loss: "
        f"{listed(list(kinds)) or 'none'}."
    )


def checks(rows: list[dict]) -> str:
    """`rows`: of `audit.documentation.rows`."""
    families = {row["check"].split(".")[0] for row in rows}
    return f"The audit looked for {count(len(rows), 'fault')} in {count(len(families), 'family')}."


def settings(found: dict, rows: int) -> str:
    """`found`: the config as mlx-lm reads it; `rows`: of the training split."""
    iterations, batch = found["iters"], found["batch_size"]
    if not rows:
        return "There are no training rows."
    passes = number(iterations * batch / rows, 1)
    return (
        f"{count(iterations, 'step')} of {count(batch, 'row')} read each of the {rows:,} training rows {passes} times."
    )


def trained(entry: dict) -> str:
    """`entry`: one of `configs` in training.json."""
    if not entry["parameters_trained"] or not entry["parameters"]:
        return "It is not known how many parameters were trained."
    share = f"{100 * entry['parameters_trained'] / entry['parameters']:.1f}%"
    text = f"Training could change {share} of the model's parameters"
    return (
        f"{text}, learning from {count(entry['tokens_in_loss'], 'token')}." if entry["tokens_in_loss"] else f"{text}."
    )


def arms(found: list[dict]) -> str:
    """`found`: `arms` of comparison.json."""
    best, worst = (choose(found, key=lambda one: one["nats_per_reply_token"]) for choose in (min, max))
    names = [arm_name(one["model"], one["format"]) for one in (best, worst)]
    if best is worst:
        return f"There is only one arm, {names[0]}."
    nats = best["nats_per_reply_token"] - worst["nats_per_reply_token"]
    return f"Best is “{names[0]}”, worst “{names[1]}”: with the best, each word piece is {more_likely(nats)}."


def costs(found: dict) -> str:
    """`found`: step -> seconds, tokens per second and gigabytes."""
    if not found:
        return "Everything was read from an earlier measurement."
    slowest = max(found, key=lambda name: found[name]["seconds"])
    total = sum(one["seconds"] for one in found.values())
    return f"All of it took {number(float(total), 0)} seconds; “{slowest}” took longest."
