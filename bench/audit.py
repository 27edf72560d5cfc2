"""Does the audit find what it should, and how fast? `make bench`.

The matrix of injected faults (tests/faults), a row a case, beside what published checkers say on the
same folders; then seconds and memory on many rows. `python bench/audit.py matrix` or `speed`: that part alone.

A published checker *flags* a case when it reports more of anything, as an error or a warning, than on
the clean run that the case was made from; `–`: it has no way to look at that, and nothing: it was not
asked (`matrix all` asks about every case). Of clean runs, the number of kinds of errors and warnings
stands there, with the kinds that a tool reports of each of them below.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ftstudy import audit, paths
from ftstudy.audit import run_inputs
from ftstudy.files import write_jsonl, write_text
from ftstudy.models import base_models

sys.path.insert(0, str(paths.ROOT / "tests"))

from faults import conversations  # noqa: E402
from faults.matrix import CASES, judge  # noqa: E402
from faults.studies import PLANS, Study, build  # noqa: E402

FOLDER = paths.DATA / "bench"
SIZES = (10_000, 100_000)
LIMIT = 5  # seconds for 10,000 rows
SPLITS = ("train", "valid", "test")

# --- published checkers: what each looks at, how it is called, and where its findings stand -------

PACKAGES = {
    "ftgate": "ftgate",
    "parallelogram": "parallelogram",
    "finelint": "finelint",
    "peft-doctor": "peft-doctor",
    "soup": "soup-cli",
    "chat-template-detector": "chat-template-detector",
}
# The checks whose subject a tool is given and reads. None of them reads an mlx-lm config or adapter,
# or renders an app's prompt from files (ftgate compares with a running server).
SCOPE = {
    "ftgate": (
        "data.",
        "splits.",
        "loss.truncated",
        "loss.end_of_turn",
        "loss.template_refuses",
        "loss.nothing_trained",
    ),
    "parallelogram": ("data.", "loss.truncated"),
    "finelint": ("data.", "splits."),
    "peft-doctor": ("data.", "splits.", "loss.truncated", "loss.end_of_turn"),
    "soup": ("data.", "loss.truncated", "loss.end_of_turn", "loss.template_refuses", "loss.nothing_trained"),
    "chat-template-detector": ("parity.",),
}
UNSEEN = ("data.missing", "data.fewer_than_batch", "data.tail_rows")  # depend on an mlx-lm config


def calls(tool: str, study: Study, out: Path):
    """Yield (the files that a call looks at, its arguments). `out` takes a report, where a tool writes one."""
    model = study.folder / "model"
    length = str(json.loads((study.folder / "limits.json").read_text())["max_seq_length"])
    files = {split: study.data / f"{split}.jsonl" for split in SPLITS}
    if tool == "chat-template-detector":
        settings = study.folder / "inference.json"
        yield [files["train"], settings], ["validate", "--training-file", files["train"], "--inference-config", settings, "--format", "json"]  # fmt: skip
        return
    if tool == "finelint":
        named = [argument for split, path in files.items() for argument in ("--split", f"{split}={path}")]
        yield list(files.values()), ["compare", *named, "--report", out, "--affected-records", f"{out}.rows"]
    for split, path in files.items():
        if tool == "ftgate":
            others = ["--eval", files["valid" if split == "train" else "test"]] if split != "test" else []
            yield [path, model, *others[1:]], ["data", path, "--model", model, "--max-seq-len", length, "--format", "json", *others]  # fmt: skip
        elif tool == "parallelogram":
            yield [path], ["check", path, "--json", "--max-seq-len", length]
        elif tool == "finelint":
            yield [path], ["inspect", path, "--report", out, "--affected-records", f"{out}.rows"]
        elif tool == "peft-doctor":
            yield [path], ["dataset-doctor", path, "--sequence-length", length, "--output", "json"]
            yield [path], ["dataset-intel", path, "--limit", "100000", "--output", "json"]
            if split != "train":
                others = [files["train"], path]
                yield others, ["check", "--dataset", others[0], "--eval-dataset", path, "--model", model, "--output", "json"]  # fmt: skip
        elif tool == "soup":
            yield [path], ["data", "validate", path]
            yield [path, model], ["data", "doctor", path, "--model", model, "--max-length", length, "--output", out]


def said(tool: str, output: str, out: Path) -> Counter:
    """How often a tool reports what, of errors and warnings."""
    if tool == "soup" and not out.exists():
        lines = [line.strip() for line in output.splitlines() if line.strip().startswith("!")]
        return Counter({re.sub(r"\d+", "…", line): _first_number(line) for line in lines})
    report = json.loads(out.read_text() if out.exists() else output[re.search("^{", output, re.MULTILINE).start() :])
    if tool == "finelint":
        return Counter(report["summary"]["by_code"])
    kind = {"ftgate": "code", "parallelogram": "rule", "peft-doctor": "code", "soup": "name"}.get(tool, "field")
    grade = {"ftgate": "level", "soup": "verdict"}.get(tool, "severity")
    items = report.get("issues") or report.get("checks") or report.get("mismatches") or []
    found = Counter()
    for item in items:
        if item[grade] in ("error", "warning", "MINOR", "MAJOR"):
            found[item[kind]] += int((item.get("details") or {}).get("count", 1))
    return found


def _first_number(line: str) -> int:
    number = re.search(r"\d+", line)
    return int(number[0]) if number else 1


def install(folder: Path) -> dict[str, Path]:
    """The checkers that install, in an environment of their own: name -> command."""
    venv.create(folder, with_pip=True)
    found = {}
    for tool, package in PACKAGES.items():
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode == 0 and (folder / "bin" / tool).exists():
            found[tool] = folder / "bin" / tool
        else:
            print(f"{tool}: not installable: {(done.stderr.strip() or 'it has no such command').splitlines()[-1]}")
    return found


def ask(tool: str, command: Path, study: Study, home: Path, known: dict | None) -> dict[int, Counter]:
    """What a tool reports, call by call. With what it said of the clean run (`known`), only calls
    that look at a changed file are made again."""
    answers = {}
    for number, (files, arguments) in enumerate(calls(tool, study, study.folder / "said.json")):
        changed = known is None or any(differs(path, study) for path in files)
        if not changed:
            answers[number] = known[number]
            continue
        out = study.folder / "said.json"
        out.unlink(missing_ok=True)
        environment = os.environ | {"HOME": str(home), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        try:
            done = subprocess.run(
                [command, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=environment, cwd=study.folder
            )  # fmt: skip
            answers[number] = said(tool, done.stdout, out) + Counter({f"exit status {done.returncode}": 1})
        except subprocess.TimeoutExpired:
            answers[number] = Counter({"no answer within a minute": 1})
        except (ValueError, KeyError, TypeError, AttributeError):
            answers[number] = Counter({"refuses the file": 1})
    return answers


def differs(path: Path, study: Study) -> bool:
    """Is the file, or the folder of files, another than when the study was clean?"""
    was = study.folder / "clean" / path.relative_to(study.folder)
    if path.is_dir():
        return any(differs(file, study) for file in path.iterdir())
    if not path.exists() or not was.exists():
        return path.exists() != was.exists()
    return path.read_bytes() != was.read_bytes()


def describe(study: Study) -> None:
    """What the tools take from a config and a profile, as files that they read."""
    import yaml

    config = yaml.safe_load((study.folder / "config.yaml").read_text(encoding="utf-8"))
    length = config.get("max_seq_length")
    write_text(
        study.folder / "limits.json", json.dumps({"max_seq_length": length if isinstance(length, int) else 2048})
    )
    path = study.folder / "profile.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    settings = {"chat_template": profile["template"]} if "template" in profile else {"model": study.plan.template}
    write_text(study.folder / "inference.json", json.dumps(settings))


def keep_clean(study: Study) -> None:
    describe(study)
    names = [path.name for path in study.folder.iterdir()]
    for name in names:
        source, target = study.folder / name, study.folder / "clean" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def matrix(every: bool = False) -> None:
    """Print the matrix. The checkers take seconds a case, so unless `every` they are asked about the
    first case of each check, and of the clean runs that those were made from."""
    asked = CASES if every else list({case.check.partition("|")[0]: case for case in reversed(CASES)}.values())
    runs = {case.study for case in asked}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(folder)
        (folder / "home").mkdir()
        tools = install(folder / "checkers")
        width = 65
        print("Clean runs: nothing above info is to be said of them\n")
        print(f"{'run':{width}} {'':32} {'':8} {'said':5}", *tools)
        clean = pool.map(lambda name: of_clean(name, tools if name in runs else {}, folder), PLANS)
        answers = {}
        for name, (above, answers[name]) in zip(PLANS, clean):
            print(f"{name:{width}} {'':32} {'':8} {above:<5}", *cells(remarks(answers[name]), tools), flush=True)
        known = {name: said for name, said in answers.items() if said}
        usual = {tool: set.intersection(*(kinds(said[tool]) for said in known.values())) for tool in tools}
        for tool, said in usual.items():
            print(f"{tool} says of every one: {', '.join(sorted(said)) or 'nothing'}")
        print("\nInjected faults: does the audit report each under its own id and severity, and do others see it?\n")
        print(f"{'case':{width}} {'expected':32} {'severity':8} {'found':5}", *tools)
        caught, flags, looked = 0, Counter(), Counter()
        rows = pool.map(lambda at: of_case(*at, tools if at[1] in asked else {}, folder, known), enumerate(CASES))
        for case, (found, seen) in zip(CASES, rows):
            caught += found
            flags.update(tool for tool, word in seen.items() if word == "flags")
            looked.update(tool for tool, word in seen.items() if word != "–")
            start = (
                f"{case.name[: width - 1]:{width}} {case.check[:32]:32} {case.severity:8} {'yes' if found else 'NO':5}"
            )
            print(start, *cells(seen, tools), flush=True)
        print(
            f"\n{caught} of {len(CASES)} found. Asked about {len(asked)} cases, the others flag, of those they look at:"
        )
        print(", ".join(f"{tool} {flags[tool]} of {looked[tool]}" for tool in tools))


def cells(seen: dict, tools: dict) -> list[str]:
    return [f"{seen.get(tool, ''):{len(tool)}}" for tool in tools]


def kinds(answers: dict[int, Counter]) -> set[str]:
    return set(sum(answers.values(), Counter()))


def remarks(said: dict) -> dict[str, str]:
    """What the tools report of a clean run, in how many words."""
    return {tool: str(len(kinds(answers) - {"exit status 0"})) for tool, answers in said.items()}


def of_clean(name: str, tools: dict, folder: Path) -> tuple[int, dict]:
    study = build(name, folder / name)
    keep_clean(study)
    report = study.audit()["summary"]
    answers = {tool: ask(tool, command, study, folder / "home", None) for tool, command in tools.items()}
    return report["error"] + report["warning"], answers


def of_case(number: int, case, tools: dict, folder: Path, known: dict) -> tuple[bool, dict]:
    study = build(case.study, folder / str(number))
    keep_clean(study)
    case.spoil(study)
    describe(study)
    found, others = judge(case, study.audit())
    seen = {}
    for tool, command in tools.items():
        if case.check.split("|")[0].startswith(UNSEEN) or not case.check.startswith(SCOPE[tool]):
            seen[tool] = "–"
            continue
        before = known[case.study][tool]
        after = ask(tool, command, study, folder / "home", before)
        seen[tool] = "flags" if any(after[call] - before[call] for call in after) else "passes"
    shutil.rmtree(study.folder)
    return found and not others, seen


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
            matrix(every="all" in sys.argv)
        if part in ("", "speed"):
            speed()
