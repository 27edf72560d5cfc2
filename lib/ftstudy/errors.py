"""The one exception for everything a user can cause and mend."""


class StudyError(Exception):
    """One paragraph that names the file, the reason and the fix.

    The command line prints the paragraph alone, and so does a notebook: a
    traceback would bury the only sentence that helps.
    """

    def __init__(self, paragraph: str):
        # It may quote a file that is not UTF-8, and has to be printable all the same.
        super().__init__(paragraph.encode("utf-8", "replace").decode())

    def _render_traceback_(self):  # IPython's hook for how an exception is shown
        return [f"StudyError: {self}"]
