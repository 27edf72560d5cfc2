"""Train a list of configs, each in its own process, continuing after failures, into one table."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .. import resource_use
from ..errors import StudyError
from ..files import read_json, write_json
from ..models import adapters
from ..paths import absolute, shown
from ..printable import one_line
from . import find_result, read, run_id


def sweep(configs: Iterable[Path], run: Path, data: str | None, model: str | None, flags: list[str]) -> list[dict]:
    """Train each config that is not trained yet; `flags` are those of `ftstudy train`: --smoke and --force.

    Returns one row per config, and updates the run's sweep.json after each: `config`, `status` (trained, kept
    from before, diverged, failed), `why` (for the last two), and the keys of `_figures`. A config that fails has
    no entry in training.json, even if an older run left an adapter.
    """
    rows, seconds, trained, configs = [], 0.0, 0, list(configs)
    for at, config in enumerate(configs):
        left = f", about {seconds / trained * (len(configs) - at) / 60:.0f} min left" if trained else ""
        print(one_line(f"== {shown(config)} ({at + 1} of {len(configs)}{left})"), flush=True)
        started = resource_use.clock()
        rows.append({"config": config.stem} | _trained(config, run, data, model, flags))
        if rows[-1]["status"] != "kept from before":
            seconds, trained = seconds + resource_use.clock() - started, trained + 1
        write_json(run / "sweep.json", {"configs": rows})
    return rows


def _trained(config: Path, run: Path, data: str | None, model: str | None, flags: list[str]) -> dict:
    if _is_complete(config, run, data, model, flags):
        print("already trained with this config, data and model: kept", flush=True)
        return {"status": "kept from before", "why": None} | _figures(run, config.stem)
    given = [*(["--data", data] if data else []), *(["--model", model] if model else []), *flags]
    command = [sys.executable, "-P", "-m", "ftstudy", "train", "--config", str(config), "--run", run.name, *given]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    last = []
    for line in process.stderr:
        sys.stderr.write(line)
        last = [*last[-20:], line.strip()]
    code = process.wait()
    if find_result(run, config.stem) is None:
        return {"status": "failed", "why": next(filter(None, reversed(last)), f"the process exited with {code}")}
    figures = _figures(run, config.stem)
    return {"status": "diverged" if figures["diverged"] else "trained", "why": figures["stopped"]} | figures


def _is_complete(config: Path, run: Path, data: str | None, model: str | None, flags: list[str]) -> bool:
    """True if the adapter that this config, data and model would give is there already."""
    entry = find_result(run, config.stem)
    try:
        inputs = read(config, data, model, smoke="--smoke" in flags)
        adapter = absolute(inputs.config["adapter_path"])
        return entry is not None and entry["run_id"] == run_id(inputs) == adapters.run_of(adapter)
    except StudyError:
        return False


def _figures(run: Path, name: str) -> dict:
    """What the table shows of a run: its losses in nats per trained token, and its cost."""
    entry, spent = find_result(run, name), read_json(run / "cost.json").get(f"training {name}", {})
    losses = [row["validation_loss"] for row in entry["curve"] if "validation_loss" in row]
    return {
        "iterations": entry["iterations"],
        "before": losses[0] if losses else None,
        "best": entry["kept"]["validation_loss"],
        "at": entry["kept"]["iteration"],
        "stopped": entry["stopped"],
        "diverged": entry["diverged"],
        **spent,
    }


COLUMNS = {
    "config": "config",
    "status": "status",
    "iterations": "iterations",
    "before": "loss before",
    "best": "best loss",
    "at": "at iteration",
    "tokens_per_second": "tokens/s",
    "seconds": "seconds",
    "peak_memory_gigabytes": "GB",
}


def table(rows: list[dict]) -> str:
    """The sweep for a terminal: one line per config, with the reasons for failures below."""
    cells = [list(COLUMNS.values()), *([_cell(row.get(key)) for key in COLUMNS] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join(lines + [one_line(f"{row['config']}: {row['why']}") for row in rows if row["why"]])


def _cell(value) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else one_line(str(value))
