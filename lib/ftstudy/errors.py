"""The one exception for everything a user can cause and mend."""


class StudyError(Exception):
    """One paragraph that names the file, the reason and the fix.

    The command line prints the paragraph alone, and so does a notebook: a
    traceback would bury the only sentence that helps.
    """

    def _render_traceback_(self):  # IPython's hook for how an exception is shown
        return [f"StudyError: {self}"]
