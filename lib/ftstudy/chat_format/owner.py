"""The owner's name, which prompts contain."""

from ..errors import StudyError
from ..printable import one_line


def check_name(owner: str) -> None:
    """StudyError if an owner's name would do more in a prompt than name somebody."""
    if one_line(owner) != owner:
        raise StudyError(
            f"The owner's name has a line break or an invisible character: {owner!r}. It would change every prompt, for "
            "example by a line of its own. Set OWNER=… or --owner to the name alone."
        )
