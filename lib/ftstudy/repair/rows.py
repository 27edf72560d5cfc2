"""Repairs of rows: each takes out of them what one of the audit's checks finds, and nothing else."""

from ..audit.content import sameness
from ..wording import count
from . import Repair, characters, speakers, turns
from .chats import every, written


def without_copies(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Of rows that occur more often in a file than small talk explains, the first one."""
    changes = {}
    for name, rows in every(draft, inputs).items():
        copies, many = sameness.copies_of(rows)
        if many:
            changes |= {(name, number): None for number, *_ in copies}
    notes = [f"{count(len(changes), 'row')} left out that repeat an earlier row word for word."] if changes else []
    return written(draft, inputs, changes), notes


REPAIRS = (
    Repair("data.odd_characters", "rows", "the odd characters", characters.as_meant, checks=("data.odd_characters",)),
    Repair("speaker_tags", "rows", "the speakers' names", speakers.untagged, checks=("data.speaker_tag",)),
    Repair(
        "empty_turns",
        "rows",
        "the empty turns",
        turns.without_empty,
        checks=("data.empty_reply", "data.empty_user"),
    ),
    Repair("nothing_trained", "rows", "the rows without a reply", turns.ending_with_reply, checks=("data.last_role",)),
    Repair("data.roles", "rows", "the roles out of turn", turns.in_turn, checks=("data.roles",)),
    Repair("same_rows", "rows", "the copies", without_copies, checks=("data.duplicates",)),
)
"""In the order in which they run."""
