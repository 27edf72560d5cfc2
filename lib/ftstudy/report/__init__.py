"""The page, its tables, charts and words; the same pieces are shown in the notebooks."""

from pathlib import Path


def write(run: Path, not_measured: str = "", finished: bool = True) -> Path:
    """Write a run's page, and the page over all runs next to it; returns the run's. Raises StudyError as `page.build`.

    `finished`: all its stages have run; then this state goes into its history.
    """
    from . import history, index, page

    built = page.build(run, not_measured)
    if finished:
        history.remember(run)
    index.write(run.parent)
    return built
