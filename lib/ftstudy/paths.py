"""Where things are. Paths in notebooks and configs are relative to the repository's root,
so that papermill, nbval and JupyterLab, which each run in another folder, agree."""

from pathlib import Path

from .errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
MODELS = DATA / "models"
ADAPTERS = DATA / "adapters"
REPORTS = ROOT / "reports"


def from_root(path: str | Path) -> Path:
    """An absolute path; a relative one counts from the repository's root."""
    return (ROOT / expanded(path)).absolute()


def expanded(path: str | Path) -> Path:
    """`~` and `~somebody` as their homes; as it stands where there is no such person, as a shell does."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def shown(path: str | Path) -> str:
    """A path as a report prints it: below the root without the root, below home with `~`."""
    path = from_root(path)
    for folder, prefix in ((ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return path.as_posix()


def run_folder(run: str) -> Path:
    """The folder of one run's results. Raises StudyError for a name that cannot be a folder."""
    if not run or run != Path(run).name or run.startswith("."):
        raise StudyError(
            f"{run!r} cannot name a run: RUN becomes a folder in reports/, so write one plain word, like `personal`."
        )
    return REPORTS / run
