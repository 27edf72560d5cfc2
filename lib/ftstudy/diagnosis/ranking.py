"""Findings and measurements as one list of causes: merged where they are about the same thing, the worst first."""

from ..audit.findings import SEVERITIES
from ..wording import uncapitalized
from . import reasons

KINDS = ("void", "measured", "known", "slight", "note")
"""Makes the run void; has a measured (or estimated) cost; is known to matter, but was not measured; has a measured cost
that cannot be told from zero; a fact worth knowing."""


def rank(of_findings: list[dict], measured: list[dict]) -> list[dict]:
    """`of_findings`: from `reasons.causes`; `measured`: from the modules that measure. Causes without `explained_by`."""
    found = {one["id"]: dict(one) for one in of_findings}
    for one in measured:
        if not one["explained_by"]:
            _add(found, one)
    for one in measured:
        if one["explained_by"]:
            _explain(found, one)
    ordered = sorted(found.values(), key=_place)
    return [{key: value for key, value in one.items() if key not in ("explained_by", "weight")} for one in ordered]


def _add(found: dict, one: dict) -> None:
    """A measured cause: with the findings of the same name, if there are any."""
    name = one["id"]
    if name == "prompt":  # the app's whole prompt, which could not be taken apart
        parts = [found.pop(part) for part in [*found] if part.startswith("prompt: ")]
        known = parts[0] | {"id": name} if parts else None
        for part in parts[1:]:
            known["evidence"] += [part["what"], *part["evidence"]]
            known["checks"] += part["checks"]
    else:
        known = found.get(name)
    if known is None or known["kind"] == "note":
        found[name] = dict(one)
        return
    known["evidence"] = [*known["evidence"], *one["evidence"]]
    if one["kind"] != "slight" or known["kind"] != "measured":  # of two costs, the one that can be told from zero
        known["cost"] = one["cost"] or known["cost"]
        known["kind"] = one["kind"] if one["kind"] == "slight" else min(known["kind"], one["kind"], key=KINDS.index)
    known["severity"] = min(known["severity"], one["severity"], key=SEVERITIES.index)
    found[name] = known


def _explain(found: dict, symptom: dict) -> None:
    """Give a symptom to the cause that explains it; without one, it is a cause of its own."""
    name = next((name for name in symptom["explained_by"] if name in found and found[name]["kind"] != "note"), None)
    if name is None:
        _add(found, symptom)
        return
    cause = found[name]
    nats = symptom["cost"]["nats"] if symptom["cost"] else 0.0
    cause["weight"] = max(_weight(cause), nats)
    if name == "under_trained":  # then what it explains can also be fixed by itself
        cause["evidence"] = [*cause["evidence"], f"it may explain this: {uncapitalized(symptom['what'])}"]
        _add(found, symptom)
    else:
        cause["evidence"] = [*cause["evidence"], symptom["what"], *symptom["evidence"]]
        cause["certainty"] = "likely"
        cause["cost"] = cause["cost"] or symptom["cost"]
    if symptom["cost"] and cause["kind"] == "known":
        cause["kind"] = "measured"


def _weight(cause: dict) -> float:
    return cause.get("weight", cause["cost"]["nats"] if cause["cost"] else 0.0)


def _place(cause: dict) -> tuple:
    weight = _weight(cause) if cause["kind"] in ("measured", "slight") else 0.0
    return (KINDS.index(cause["kind"]), -weight, cause["id"] in reasons.ABOUT_MEASURING, *reasons.place(cause))
