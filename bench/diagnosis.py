"""Staged fine-tunes with one known main cause each: which cause the diagnosis names first, and its verdict.

    python bench/diagnosis.py [NAME ...]

The exit status is 1 if the first cause is wrong anywhere.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
os.environ["FTSTUDY_HEADLESS"] = "1"  # no progress bars between the lines of the table

from ftstudy import diagnosis  # noqa: E402
from staged_finetunes import FAULTS, diagnose, stage  # noqa: E402

COLUMNS = "{:<28}{:<26}{:<26}{:<7}{:>9}  {:<24}{:>8}"


def main(names: list[str]) -> int:
    print(COLUMNS.format("staged", "main cause", "named first", "right", "nats", "verdict fails at", "seconds"))
    wrong = 0
    with TemporaryDirectory() as folder:
        for name in names or FAULTS:
            started = time.perf_counter()
            found = diagnose(stage(name, Path(folder) / "projects" / name, Path(folder) / "trained"))
            first = next(iter(diagnosis.worst(found)), {"id": "nothing", "cost": None})
            staged = FAULTS[name]["cause"] or "nothing"
            wrong += first["id"] != staged
            nats = f"{first['cost']['nats']:+.3f}" if first["cost"] else "-"
            right = "yes" if first["id"] == staged else "NO"
            step, seconds = found["verdict"]["step"] or "nowhere", time.perf_counter() - started
            print(COLUMNS.format(name, staged, first["id"], right, nats, step, f"{seconds:.0f}"), flush=True)
    print(f"{wrong} of {len(names or FAULTS)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
