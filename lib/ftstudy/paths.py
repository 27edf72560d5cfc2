"""Where things are. Paths in notebooks and configs are relative to the repository root, because
papermill, nbval and JupyterLab each run in a different folder."""

from pathlib import Path

from .errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
MODELS = DATA / "models"
ADAPTERS = DATA / "adapters"
REPORTS = ROOT / "reports"


def from_root(path: str | Path) -> Path:
    """The absolute path; relative paths start at the repository root."""
    return (ROOT / expanded(path)).absolute()


def expanded(path: str | Path) -> Path:
    """Expand `~` and `~user`. As in a shell, an unknown user is left as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def shown(path: str | Path) -> str:
    """A path as reports print it: relative to the repository root, or with `~` for the home folder."""
    path = from_root(path)
    for folder, prefix in ((ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return path.as_posix()


def run_folder(run: str) -> Path:
    """The folder of one run's results. Raises StudyError if the name cannot be a folder name."""
    if not run or run != Path(run).name or run.startswith("."):
        raise StudyError(
            f"{run!r} is not a valid run name. RUN becomes a folder in reports/, so use one plain word such as "
            "`personal`."
        )
    return REPORTS / run
