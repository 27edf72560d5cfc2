"""Raised for every problem the user can fix."""

from .printable import one_line


class StudyError(Exception):
    """One paragraph that names the file, the reason and the fix.

    The command line and the notebooks print only this paragraph: a traceback would bury it.
    """

    def __init__(self, paragraph: str):
        # The paragraph may quote a file that is not UTF-8, or a name that somebody else chose.
        super().__init__(one_line(paragraph))

    def _render_traceback_(self):  # IPython calls this to show the exception
        return [f"StudyError: {self}"]
