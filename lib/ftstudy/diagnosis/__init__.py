"""What is wrong with a fine-tune, in order: one object for the report, the notebooks, the terminal and programs.

evidence    what a run's results say          usability   is it usable? steps, the first that fails decides
reasons     causes that the audit names       learning, replies, serving, proven_costs: causes that were measured, with their cost
ranking     one list of both                  commands    the commands that apply a fix, and prove it
scaling     would more training, more data or a larger model help?
"""

from pathlib import Path

from ..files import write_json
from ..wording import count
from . import commands, evidence, learning, proven_costs, ranking, reasons, replies, scaling, serving, usability

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "proof")


def diagnose(results: dict, run: str = "", not_measured: str = "") -> dict:
    """`verdict`, from `usability.judge`, `causes`, the worst first, `advice`, from `scaling.advice`, and
    `again`, the command that repeats the study.

    `results`: the content of a run's RESULTS by name, None for those that it doesn't have; `run`: the name of its
    folder; `not_measured`: why no model was compared, if that is known. A cause has `id`, `what`, `evidence` (lines),
    `cost` (`nats` per reply token, `interval`, `in_words`, `share_of_gain`; None if not measured), `certainty`
    (certain, measured or likely), `kind` (from `ranking.KINDS`), `severity`, `fix`, `apply` and `prove` (commands, or
    empty), and `checks` (of the findings in it).
    """
    found = evidence.gather(results, run, not_measured)
    measured = [one for room in (learning, replies, serving, proven_costs) for one in room.causes(found)]
    causes = ranking.rank(reasons.causes(found["findings"]), measured)
    void = next((one for one in causes if one["kind"] == "void"), None)
    return {
        "verdict": usability.judge(found, void),
        "causes": [one | commands.of(one, found) for one in causes],
        "advice": scaling.advice(found),
        "again": commands.again(found),
    }


def write(run: Path, not_measured: str = "") -> dict:
    """Diagnose what the run's folder holds, and write it there as diagnosis.json."""
    found = diagnose(evidence.read(run, RESULTS), run.name, not_measured)
    write_json(run / "diagnosis.json", found)
    return found


def worst(found: dict) -> list[dict]:
    """The causes that something should be done about, the worst first; `found`: from `diagnose`."""
    return [one for one in found["causes"] if one["kind"] not in ("slight", "note")]


def told(found: dict, most: int = 3) -> list[str]:
    """The verdict and the worst causes in a line each, as the terminal and the notebook say them."""
    causes = worst(found)
    lines = [found["verdict"]["sentence"]]
    for place, one in enumerate(causes[:most], 1):
        cost = f" ({one['cost']['in_words']})" if one["cost"] else ""
        lines.append(f"{place}. {one['what']}{cost}. {one['fix']}")
    if len(causes) > most:
        lines.append(f"… and {count(len(causes) - most, 'more cause')}, in the report.")
    return lines if causes else [*lines, "Nothing wrong was found."]
