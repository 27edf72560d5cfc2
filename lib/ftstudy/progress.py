"""Progress bars for people: in a terminal and in JupyterLab, and none in headless runs."""

import os
import sys

from tqdm.auto import tqdm


def bar(iterable=None, **options):
    """A tqdm bar, quiet where nobody watches: papermill, nbval, pipes and logs."""
    return tqdm(iterable, disable=not watched(), leave=False, **options)


def watched() -> bool:
    if os.environ.get("FTSTUDY_HEADLESS") or os.environ.get("PYTEST_VERSION"):
        return False
    return "ipykernel" in sys.modules or sys.stderr.isatty()
