"""How a proof was made."""

from ...proof.result import without_chance
from ...wording import count, listed


def proof(found: dict) -> str:
    """How the proof was measured; `found`: the content of proof.json."""
    replies = f"{count(found['replies'], 'reply')} of {count(found['conversations'], 'conversation')}"
    trainings = count(len({one["run_id"] for one in found["trainings"]}), "training")
    said = [f"{trainings} of the same model, scored on {replies} that none of them saw."]
    said.append("A fault's cost is how much worse the repaired fine-tune does when only that fault is left in.")
    if found["shares"]:
        said.append("Shares are Shapley's, over every combination of faults: they add up to the whole difference.")
    if found["most"]:
        said.append(
            f"To stay within the budget, every training was cut to {count(found['most'], 'iteration')} at most."
        )
    if found["left_out"]:
        said.append(f"{count(found['left_out'], 'more training')} did not fit into the budget.")
    if found["seen"]:
        said.append(
            f"{count(found['seen'], 'held-out reply was', 'held-out replies were')} left out: also used in training."
        )
    if found["edited"]:
        said.append(f"The repaired {listed(found['edited'])} had been edited; the edited version was measured.")
    if found["prompt_not_measured"]:
        said.append(f"The app's prompt was not measured: {found['prompt_not_measured']}")
    return " ".join([*said, *without_chance(found)])
