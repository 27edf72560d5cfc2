"""Does the audit find what it should, and how fast? `make bench`.

The matrix of injected faults (tests/faults), a row a case; then seconds and memory on many rows.
`python bench/audit.py matrix` or `speed`: that part alone. What published checkers find: bench/peers.py.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from ftstudy import audit, paths
from ftstudy.audit import run_inputs
from ftstudy.files import write_jsonl, write_text
from ftstudy.models import base_models

sys.path.insert(0, str(paths.ROOT / "tests"))

from faults import conversations  # noqa: E402
from faults.matrix import CASES, judge  # noqa: E402
from faults.studies import PLANS, build  # noqa: E402

FOLDER = paths.DATA / "bench"
SIZES = (10_000, 100_000)
LIMIT = 5  # seconds for 10,000 rows
SPLITS = ("train", "valid", "test")


def matrix() -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cpu_count()) as pool:
        folder, width = Path(folder), 65
        print("Clean runs: nothing above info is to be reported about them\n")
        print(f"{'run':{width}} reported")
        for name, above in zip(PLANS, pool.map(lambda name: of_clean(name, folder), PLANS)):
            print(f"{name:{width}} {above}", flush=True)
        print("\nInjected faults: does the audit report each under its own id and severity?\n")
        print(f"{'case':{width}} {'expected':32} {'severity':8} found")
        caught = 0
        for case, found in zip(CASES, pool.map(lambda at: of_case(*at, folder), enumerate(CASES))):
            caught += found
            name = f"{case.name[: width - 1]:{width}}"
            print(f"{name} {case.check[:32]:32} {case.severity:8} {'yes' if found else 'NO'}", flush=True)
        print(f"\n{caught} of {len(CASES)} found.")


def of_clean(name: str, folder: Path) -> int:
    report = build(name, folder / name).audit()["summary"]
    return report["error"] + report["warning"]


def of_case(number: int, case, folder: Path) -> bool:
    study = build(case.study, folder / str(number))
    case.spoil(study)
    found, others = judge(case, study.audit())
    shutil.rmtree(study.folder)
    return found and not others


# --- speed ------------------------------------------------------------------------------------


def folder_of(number: int) -> Path:
    """A run with so many rows of about 750 bytes, written once."""
    folder = FOLDER / f"audit-{number}"
    if not (folder / "config.yaml").exists():
        sizes = {"train": number * 9 // 10, "valid": number // 20, "test": number // 20}
        splits, meta = conversations.dataset("texter", sizes)
        for split, rows in splits.items():
            write_jsonl(folder / "data" / f"{split}.jsonl", rows)
        write_jsonl(folder / "data" / "meta.jsonl", meta)
        config = f"model: {base_models.DEMO_MODEL}\ndata: {folder / 'data'}\ntrain: true\nmask_prompt: true\niters: {number // 4}\n"
        write_text(folder / "config.yaml", config)
    return folder


def measure(number: int) -> dict:
    """Audit one run in this process: seconds of each step and family, and peak memory."""
    folder = folder_of(number)
    size = sum((folder / "data" / f"{split}.jsonl").stat().st_size for split in SPLITS) / number
    base_models.load_tokenizer(base_models.DEMO_MODEL)  # its imports and files are read, once
    seconds, before = {}, time.perf_counter()

    def done(step):
        nonlocal before
        seconds[step], before = time.perf_counter() - before, time.perf_counter()

    looked_at = run_inputs.read(folder / "config.yaml", inference="aligned", owner="Sam")
    done("reading")
    looked_at.tokenizer
    before = time.perf_counter()
    for split in looked_at.splits:
        looked_at.rendering(split)
    done("rendering")
    for family in audit.FAMILIES:
        family.check(looked_at)
        done(family.__name__.rpartition(".")[2])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"bytes": size, "seconds": seconds, "memory": memory}


def speed() -> None:
    print(f"\nHow fast: seconds without imports and model load; at most {LIMIT} for {SIZES[0]:,} rows\n")
    per_row = []
    for number in SIZES:
        folder_of(number)
        call = [sys.executable, __file__, "measure", str(number)]
        found = json.loads(subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout)
        total = sum(found["seconds"].values())
        per_row.append(total / number)
        for step, seconds in found["seconds"].items():
            print(f"{number:>9,} rows  {step:12} {seconds:7.2f} s")
        limit = f" (limit {LIMIT})" if number == SIZES[0] else ""
        print(f"{number:>9,} rows  {'in all':12} {total:7.2f} s{limit}, {found['bytes']:.0f} bytes a row, {found['memory']:,.0f} MiB at most\n")  # fmt: skip
    print(
        f"Time per row at {SIZES[-1]:,}, as a multiple of that at {SIZES[0]:,}: {per_row[-1] / per_row[0]:.2f}. Linear is 1."
    )


if __name__ == "__main__":
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part == "measure":
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        if part in ("", "matrix"):
            matrix()
        if part in ("", "speed"):
            speed()
