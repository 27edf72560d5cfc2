"""What the messages, the rows and the audit of them mean."""

from ...diagnosis.learning import FEW_ROWS
from ...printable import cut
from ...wording import capitalized, count, listed, sentence

FEW_TO_TEST = 40  # examples below which a run says so


OFTEN = 0.02  # of the replies: one that comes back so often is worth saying


def extraction(found: dict, variant: str = "") -> str:
    """`found`: extraction.json. `variant`: the one to describe; the first by default."""
    variants = found["variants"]
    splits = variants.get(variant) or next(iter(variants.values()), {})
    sizes = {name: splits.get(name, {}).get("examples", 0) for name in ("train", "valid", "test", "heldout")}
    parts = [f"{sizes['train']:,} to train on", f"{sizes['valid']:,} to validate", f"{sizes['test']:,} to test"]
    parts += [f"{sizes['heldout']:,} from people in no other split"] if sizes["heldout"] else []
    pairs = count(found["pairs"], "reply pair")
    return f"{count(found['messages'], 'message')} gave {pairs}: {listed(parts)}. {_support(sizes)}"


def rows(described: dict) -> str:
    """`described`: the rows of a folder, as in extraction.json."""
    sizes = {"train": 0, "valid": 0, "test": 0} | {one["split"]: one["rows"] for one in described["splits"]}
    total, replies = sum(sizes.values()), len(described["lengths"])
    parts = [f"{sizes['train']:,} rows to train on", f"{sizes['valid']:,} to validate", f"{sizes['test']:,} to test"]
    text, held_out = f"{capitalized(listed(parts))}. ", "test"
    if sizes["test"] == 0 and sizes["valid"]:
        text += "Without test rows, models are compared on the validation rows. "
        sizes["test"], held_out = sizes["valid"], "validation"
    if not replies and all(one["schema"] == "text" for one in described["splits"] if one["rows"]):
        return (
            f"{text}They are plain text, so their replies are not described here. Where the model's chat template wrote "
            "the text, prompts and replies are read from it below."
        )
    if not replies:
        return f"{text}None of them ends with a separate reply message, so there are no replies to describe."
    if total > replies:
        text += f"{count(total - replies, 'row does', 'rows do')} not end with a reply. "
    reply, times = next(iter(described["replies"]), ("", 0))
    if times >= OFTEN * replies:
        text += f"The most frequent reply, “{cut(reply, 40)}”, is the answer in {times / replies:.0%} of them. "
    systems = described["different"]["systems"]
    text += {0: "There is no system text. ", 1: "All system texts are the same. "}.get(
        systems, f"There are {systems:,} different system texts. "
    )
    return text + _support(sizes, held_out)


def _support(sizes: dict[str, int], held_out: str = "test") -> str:
    if not sizes["train"]:
        return "There is nothing to train on."
    if not sizes["test"]:
        return "Without test examples, no models can be compared."
    few = [f"{sizes['train']:,} examples are few to learn from"] if sizes["train"] < FEW_ROWS else []
    few += [f"{sizes['test']:,} {held_out} examples show large differences only"] if sizes["test"] < FEW_TO_TEST else []
    return f"{'; '.join(few)}." if few else "That is enough to train on, and enough to compare models on."


def audit(findings: list[dict]) -> str:
    """`findings`: dicts with `severity` and `title`, as in findings.json. Facts (infos) don't count."""
    titles = {level: [one["title"] for one in findings if one["severity"] == level] for level in ("error", "warning")}
    counts = f"{count(len(titles['error']), 'error')}, {count(len(titles['warning']), 'warning')}"
    if titles["error"]:
        return f"{counts}. Fix this first: {sentence(titles['error'][0])}"
    if titles["warning"]:
        return f"{counts}. Training can start, but look at this first: {sentence(titles['warning'][0])}"
    return f"{counts}. The audit found nothing that would waste this run."


def staged(found: dict) -> str:
    """`found`: `staged` of format_audit.json. What the original report's configs pointed to, and now do."""
    empty = {when: sum(one["lines"] == 0 for one in found[when]) for when in ("before", "after")}
    return (
        f"{empty['before']} of the {len(found['before'])} historical configs point to a folder without training data; after "
        f"the fix, {empty['after']} of {len(found['after'])} do. mlx-lm refuses to train on an empty folder: "
        f"{found['trainer']}"
    )
