"""Raised for every problem the user can fix."""


class StudyError(Exception):
    """One paragraph that names the file, the reason and the fix.

    The command line and the notebooks print only this paragraph: a traceback would bury it.
    """

    def __init__(self, paragraph: str):
        # The paragraph may quote a file that is not UTF-8, and must still be printable.
        super().__init__(paragraph.encode("utf-8", "replace").decode())

    def _render_traceback_(self):  # IPython calls this to show the exception
        return [f"StudyError: {self}"]
