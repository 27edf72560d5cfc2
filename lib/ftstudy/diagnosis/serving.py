"""What is lost between training and use: the app's prompt, fusing; and held-out replies that were in training."""

from ..wording import count, format_name, number
from . import evidence
from .costs import AS_MEASURED, LITTLE, cause, cost, cost_of, said

CAUSES = {  # of a prompt, as the comparison names them -> the cause that the audit's checks give it, from `reasons`
    "system": "prompt: system",
    "no system": "prompt: system",
    "user": "prompt: user",
    "earlier turns": "prompt: earlier turns",
    "header": "prompt: header",
    "template": "prompt: header",
    "no template": "prompt: header",
    "white space": "prompt: white space",
    "end": "prompt: end",
    "missing BOS": "prompt: BOS",
    "doubled BOS": "prompt: BOS",
}


def causes(found: dict) -> list[dict]:
    """`found`: from `evidence.gather`."""
    return [*_prompt(found), *(one for one in (_fusing(found), _leak(found)) if one)]


def _prompt(found: dict) -> list[dict]:
    """What the app's prompt costs the tuned model: fault by fault, or as a whole if it can't be taken apart."""
    if found["app"] == "aligned":
        return []
    attributed = (found["comparison"].get("attribution") or {}).get("tuned")
    rows = [(one["fault"], one) for one in attributed["shares"]] if attributed else []
    if not rows and (whole := found["between"].get(("tuned", found["app"], "tuned", "aligned"))):
        rows = [(found["app"], whole)]
    return [_fault(fault, row, found) for fault, row in rows if row["interval"] and row["verdict"] != "better"]


def _fault(fault: str, row: dict, found: dict) -> dict:
    name = format_name(fault)
    return cause(
        CAUSES.get(fault, "prompt"),
        f"The app's prompt differs from training's: {name}",
        [f"with {name} instead of training's, {said(row)}"],
        AS_MEASURED,
        cost=cost_of(row, found),
        kind="measured" if row["verdict"] == "worse" else "slight",
        severity="error",
    )


def _fusing(found: dict) -> dict | None:
    lost = (found["comparison"].get("fusing") or {}).get("aligned")
    row = found["between"].get(("fused", "aligned", "tuned", "aligned"))
    if not lost or not row or row["verdict"] != "worse":
        return None
    return cause(
        "fusing",
        f"Fusing lost {lost['lost']:.0%} of what training gained",
        [f"the fused model against the adapter, both prompted as in training: {said(row)}"],
        "Fuse with --dequantize, and quantize the result to 8 bits if it has to be small; or load base and adapter.",
        cost=cost_of(row, found),
        severity="error" if lost["lost"] >= 0.5 else "warning",
    )


def _leak(found: dict) -> dict | None:
    """How much better the model looks because training gave some of the held-out replies away."""
    row = evidence.gain(found)
    if not row or not row.get("leaked"):
        return None
    clean, spent = row["without_leaked"], None
    lines = [
        f"train.jsonl gives away {row['leaked']:,} of the {count(found['arms']['tuned', 'aligned']['replies'], 'held-out reply')}"
    ]
    if clean:
        flattered = clean["nats_per_reply_token"] - row["nats_per_reply_token"]
        lines.append(f"on the others alone, tuned against base: {said(clean)}")
        words = f"the result looks {number(flattered)} nats per token better than it is"
        spent = cost(flattered, None, found, words) if flattered > LITTLE else None
    return cause(
        "splits_leak",
        "Held-out replies are in the training rows, so the result is partly memory",
        lines,
        "Divide the rows by conversation or session, so that none is in two splits, and train again.",
        cost=spent,
        kind="measured" if spent else "known",
    )
