"""What published checkers find of the same faults, and what they say about clean runs. `make bench`.

    python bench/peers.py [all] [NAME ...]

Each checker is installed in its newest version into an environment of its own, which is removed afterwards,
and looks at the runs of tests/faults without a network. A checker *finds* a fault when it reports more of
anything, as an error or a warning, than about the clean run that the fault was put into, or cannot read
what it could read before. What it reports about a clean run is a false alarm, unless it says the same about
every clean run: that is about this machine, or about settings of another trainer.

Calls take seconds, so unless `all` is given, there is one case for each check, the clean runs that those
were made from, and one for each other form of rows. A NAME asks only that checker.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ftstudy import paths
from ftstudy.files import write_text

sys.path.insert(0, str(paths.ROOT / "tests"))

from faults.adapter_faults import names_of_peft  # noqa: E402
from faults.matrix import CASES, judge  # noqa: E402
from faults.studies import PLANS, Study, build  # noqa: E402

SPLITS = ("train", "valid", "test")
HELD_OUT = ("data/valid.jsonl", "data/test.jsonl")
REPORT = "{}-said.json"  # the file a checker writes its report to, if it prints none
LIMIT = 60  # seconds for one call
OURS = "ftstudy"


# --- checkers: how each is called in a run's folder, and what it reported -------------------------


class Checker(NamedTuple):
    """`packages`: its own, and what it needs to read a tokenizer. `subjects`: the beginnings of the checks that
    are about what it is given and reads. `calls(folder)`: for each call, the files that it looks at, and the
    command. `said(output)`: how often it reports what, of errors and warnings; `output` is what it printed, or
    its report file."""

    packages: tuple[str, ...]
    subjects: tuple[str, ...]
    calls: Callable[[Path], Iterable[tuple[list[str], list[str]]]]
    said: Callable[[str], Counter]


def there(name: str, folder: Path) -> bool:
    """Is a file part of the run, or of the clean run that it was made from?"""
    return any((at / name).exists() for at in (folder, clean(folder)))


def files(folder: Path) -> dict[str, str]:
    """The splits of a run."""
    names = {split: f"data/{split}.jsonl" for split in SPLITS}
    return {split: name for split, name in names.items() if there(name, folder)}


def next_of(names: dict[str, str]) -> Iterable[tuple[str, str | None]]:
    """Each file with another one to compare it with."""
    ordered = list(names.values())
    return zip(ordered, ordered[1:] + ordered[:1] if len(ordered) > 1 else [None])


def length(folder: Path) -> str:
    return str(json.loads((folder / "limits.json").read_text())["max_seq_length"])


def graded(report: str, kind: str, grade: str, grades: tuple) -> Counter:
    """The items of a JSON report that have one of these grades."""
    found = Counter()
    content = json.loads(report[re.search("^{", report, re.MULTILINE).start() :])
    for item in next((content[name] for name in ("issues", "findings", "checks", "mismatches") if content.get(name)), []):  # fmt: skip
        if item[grade] in grades:
            found[f"{item[kind]} ({item[grade]})"] += int((item.get("details") or {}).get("count", 1))
    return found


def counted(lines: Iterable[str]) -> Counter:
    """Sentences that differ only in numbers, and the first number of each."""
    found = Counter()
    for line in lines:
        number = re.search(r"\d+", line)
        found[re.sub(r"\d+", "…", line)] += max(1, int(number[0])) if number else 1
    return found


def ftgate(folder):
    for file, other in next_of(files(folder)):
        compared = ["--eval", other] if other else []
        yield [file, "model", "limits.json", *compared[1:]], ["ftgate", "data", file, "--model", "model", "--max-seq-len", length(folder), "--format", "json", *compared]  # fmt: skip


def parallelogram(folder):
    for file in files(folder).values():
        yield [file, "limits.json"], ["parallelogram", "check", file, "--json", "--max-seq-len", length(folder)]


def finelint(folder):
    reports = ["--report", REPORT.format("finelint"), "--affected-records", "finelint-rows.json"]
    named = [argument for split, file in files(folder).items() for argument in ("--split", f"{split}={file}")]
    yield list(files(folder).values()), ["finelint", "compare", *named, *reports]
    for file in files(folder).values():
        yield [file], ["finelint", "inspect", file, *reports]


def peft_doctor(folder):
    as_json = ["--output", "json"]
    for file, other in next_of(files(folder)):
        yield (
            [file, "limits.json"],
            ["peft-doctor", "dataset-doctor", file, "--sequence-length", length(folder), *as_json],
        )
        yield [file], ["peft-doctor", "dataset-intel", file, "--limit", "100000", *as_json]
        if other:
            yield [file, other, "model"], ["peft-doctor", "check", "--dataset", file, "--eval-dataset", other, "--model", "model", *as_json]  # fmt: skip
    if there("peft", folder):
        yield ["peft"], ["peft-doctor", "inspect-adapter", "peft", "--base-model", "model", *as_json]


def soup(folder):
    for file in files(folder).values():
        yield [file], ["soup", "data", "validate", file]
        yield [file, "model", "limits.json"], ["soup", "data", "doctor", file, "--model", "model", "--max-length", length(folder), "--output", REPORT.format("soup")]  # fmt: skip
    if there("peft", folder):
        yield ["peft"], ["soup", "adapters", "check", "peft", "--json"]


def said_by_soup(output: str) -> Counter:
    if "verdict_line" in output:
        verdict = json.loads(output[output.index("{") :])["verdict_line"]
        return Counter({verdict: 1} if verdict != "alive" else {})
    if '"overall"' in output:
        found = graded(output, "name", "verdict", ("MINOR", "MAJOR"))
        return Counter(
            {kind: n for kind, n in found.items() if not kind.startswith("generation_markers")}
        )  # its trainer's
    return counted(line.strip() for line in output.splitlines() if line.strip().startswith("!"))


def chat_template_detector(folder):
    if "train" in files(folder):
        given = ["--training-file", "data/train.jsonl", "--inference-config", "inference.json", "--format", "json"]
        yield ["data/train.jsonl", "inference.json"], ["chat-template-detector", "validate", *given]


def deltalint(folder):
    if there("fused", folder):
        given = ["--base", "model", "--adapter", "peft", "--merged", "fused", "--json"]
        yield ["model", "peft", "fused"], ["deltalint", "check", *given]


def said_by_deltalint(output: str) -> Counter:
    report = json.loads(output[output.index("{") :])
    failed = Counter(layer["diagnosis"] or "FAIL" for layer in report["layers"] if layer["verdict"] == "FAIL")
    return failed + Counter({"missing layer": len(report["missing_layers"])})


def yobro(folder):
    yield [*files(folder).values(), "model", "project.yobro"], ["yobro", "check", "project.yobro"]


def yobro_project(folder: Path) -> str:
    names = files(folder)
    lines = [f'model base = "model" {{ max_length = {length(folder)} }}']
    lines += [f'data {split}: Chat = load("{file}")' for split, file in names.items()]
    for split in names:
        others = ", ".join(other for other in names if other != split)
        overlap = f"no_overlap_with({others}) " if others and split != "test" else ""
        lines.append(f"check {split} {{ no_duplicates(near = true) {overlap}template_matches(base) truncation(base) }}")
    return "\n".join(lines) + "\n"


def said_by_yobro(output: str) -> Counter:
    if "[check]" not in output:
        raise ValueError(output)
    tagged = re.findall(r"\[(?:error|warn)\] +([^\n(]+)", output)
    return counted(tagged)


def corpusguard(folder):
    for file, other in next_of(files(folder)):
        compared = ["--compare", other] if other else []
        yield (
            [file, *compared[1:]],
            ["corpusguard", "scan", file, *compared, "--json-out", REPORT.format("corpusguard-audit")],
        )


# It is a library, without a command.
CLEANER = """
import json, sys
from modelbrew_cleaner import clean_file
found = [issue for row in clean_file(sys.argv[1]) for issue in row.issues]
print(json.dumps({"issues": [{"code": issue.code, "severity": issue.severity.value} for issue in found]}))
"""


def modelbrew_cleaner(folder):
    for file in files(folder).values():
        yield [file], ["python", "-c", CLEANER, file]


def severe(*grades):
    return lambda kind, grade: lambda output: graded(output, kind, grade, grades)


TROUBLE = severe("error", "warning", "critical")
RENDERED = ("loss.truncated", "loss.end_of_turn", "loss.template_refuses", "model.no_template")
TOKENIZER = ("transformers", "jinja2")
CHECKERS = {
    "ftgate": Checker(
        ("ftgate", *TOKENIZER),
        ("data.", "splits.", "loss.nothing_trained", *RENDERED),
        ftgate,
        TROUBLE("code", "level"),
    ),
    "parallelogram": Checker(
        ("parallelogram",), ("data.", "loss.truncated"), parallelogram, TROUBLE("rule", "severity")
    ),
    "finelint": Checker(
        ("finelint",), ("data.", "splits."), finelint, lambda output: Counter(json.loads(output)["summary"]["by_code"])
    ),
    "peft-doctor": Checker(
        ("peft-doctor", *TOKENIZER),
        ("data.", "splits.", "adapter.", *RENDERED[:2]),
        peft_doctor,
        TROUBLE("code", "severity"),
    ),
    "soup": Checker(
        ("soup-cli", *TOKENIZER), ("data.", "adapter.", "loss.nothing_trained", *RENDERED), soup, said_by_soup
    ),
    "chat-template-detector": Checker(
        ("chat-template-detector",), ("parity.",), chat_template_detector, TROUBLE("field", "severity")
    ),
    "deltalint": Checker(("deltalint",), ("fused.",), deltalint, said_by_deltalint),
    "yobro": Checker(("yobro", *TOKENIZER), ("data.", "splits.", *RENDERED), yobro, said_by_yobro),
    "corpusguard-audit": Checker(
        ("corpusguard-audit",), ("data.", "splits."), corpusguard, TROUBLE("code", "severity")
    ),
    "modelbrew-cleaner": Checker(("modelbrew-cleaner",), ("data.",), modelbrew_cleaner, TROUBLE("code", "severity")),
}
UNSEEN = ("data.missing", "data.fewer_than_batch", "data.tail_rows")  # depend on an mlx-lm config


# --- a run's folder as the checkers read it -------------------------------------------------------


def clean(folder: Path) -> Path:
    return folder / "clean"


def describe(study: Study) -> None:
    """Write what the checkers take from an mlx-lm config, adapter and profile as files that they read."""
    import yaml

    config = yaml.safe_load((study.folder / "config.yaml").read_text(encoding="utf-8"))
    cutoff = config.get("max_seq_length")
    limits = {"max_seq_length": cutoff if isinstance(cutoff, int) else 2048}
    write_text(study.folder / "limits.json", json.dumps(limits))
    write_text(study.folder / "project.yobro", yobro_project(study.folder))
    path = study.folder / "profile.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    template = profile.get("template") or template_of(study.folder / "model")
    write_text(study.folder / "inference.json", json.dumps({"chat_template": template} if template else {}))
    if (study.folder / "adapter").is_dir():
        as_peft(study.folder / "adapter", study.folder / "peft", str(study.folder / "model"))


def template_of(model: Path) -> str | None:
    """The chat template of a model's folder."""
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        path = model / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            return text if path.suffix == ".jinja" else json.loads(text).get("chat_template")
    return None


def as_peft(adapter: Path, folder: Path, model: str) -> None:
    """Write an mlx-lm adapter as PEFT's, the kind that checkers read. A file that can't be converted is copied."""
    import mlx.core as mx

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    settings, weights = adapter / "adapter_config.json", adapter / "adapters.safetensors"
    modules = []
    if weights.exists():
        target = folder / "adapter_model.safetensors"
        try:
            tensors = {name: value.astype(value.dtype) for name, value in mx.load(str(weights)).items()}
            modules = sorted({name.split(".")[-2] for name in tensors if ".lora_" in name})
            turned = (
                names_of_peft(tensors) if all(".lora_" in name and name[-1] in "ab" for name in tensors) else tensors
            )
            mx.save_safetensors(str(target), {name: mx.contiguous(turned[name]) for name in sorted(turned)})
        except (RuntimeError, ValueError, IndexError):
            shutil.copy(weights, target)
    if settings.exists():
        try:
            config = json.loads(settings.read_text(encoding="utf-8"))
            if "peft_type" not in config:
                lora = config["lora_parameters"]
                config = {
                    "peft_type": "LORA",
                    "task_type": "CAUSAL_LM",
                    "base_model_name_or_path": "model" if config["model"] == model else config["model"],
                    "r": lora["rank"],
                    "lora_alpha": lora["scale"] * lora["rank"],
                    "lora_dropout": lora["dropout"],
                    "target_modules": modules if "keys" not in lora else lora["keys"],
                }
            write_text(folder / "adapter_config.json", json.dumps(config))
        except (ValueError, KeyError):
            shutil.copy(settings, folder)


def keep_clean(study: Study) -> None:
    """Copy the run into the folder `clean`, before a fault is put into it."""
    describe(study)
    names = [path.name for path in study.folder.iterdir()]
    for name in names:
        source, target = study.folder / name, clean(study.folder) / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def differs(path: Path, folder: Path) -> bool:
    """Is the file, or the folder of files, another than when the run was clean?"""
    was = clean(folder) / path.relative_to(folder)
    if path.is_dir() or was.is_dir():
        names = {file.name for at in (path, was) if at.is_dir() for file in at.iterdir()}
        return any(differs(path / name, folder) for name in names)
    if not path.exists() or not was.exists():
        return path.exists() != was.exists()
    return path.read_bytes() != was.read_bytes()


# --- asking ---------------------------------------------------------------------------------------


def install(name: str, folder: Path) -> str:
    """Install a checker into an environment in `folder`. Return its version, or a sentence if it does not install."""
    packages = CHECKERS[name].packages
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["pip failed"]
        return f"not installable: {reason[-1].removeprefix('ERROR: ')}"
    asked = [python, "-c", f"from importlib.metadata import version; print(version({packages[0]!r}))"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


@cache
def offline() -> list[str]:
    """What a command is started with so that it has no network, where the system allows that."""
    start = ["unshare", "--map-root-user", "--net"]
    able = shutil.which("unshare") and subprocess.run([*start, "true"], capture_output=True).returncode == 0
    return start if able else []


def ask(name: str, home: Path, folder: Path, command: list[str]) -> Counter:
    """What a checker reports, asked in a folder."""
    quiet = {"HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200", "SOUP_NO_AUDIT_LOG": "1"}
    report = folder / REPORT.format(name)
    report.unlink(missing_ok=True)
    call = [*offline(), str(home / "bin" / command[0]), *command[1:]]
    environment = os.environ | quiet | {"HOME": str(home / "home")}
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=LIMIT, env=environment, cwd=folder)
    except subprocess.TimeoutExpired:
        return Counter({f"no answer within {LIMIT} seconds": 1})
    status = Counter({f"exit status {done.returncode}": 1} if done.returncode else {})
    try:
        return status + CHECKERS[name].said(report.read_text() if report.exists() else done.stdout)
    except (ValueError, KeyError, TypeError, AttributeError):
        return status + Counter({"refuses the files": 1})


def calls(name: str, folder: Path) -> dict[tuple, tuple[list[str], list[str]]]:
    """The calls of a checker, each under a name that is the same for every run."""
    return {(*command[:2], *looked_at): (looked_at, command) for looked_at, command in CHECKERS[name].calls(folder)}


def about_clean(name: str, home: Path, folder: Path) -> tuple[dict[tuple, Counter], float]:
    """What a checker reports about a clean run, and the processor's seconds it took, if nothing else was started
    meanwhile. Of files that it looks at one by one, only the training data."""
    start, asked = spent_by_commands(), calls(name, folder).items()
    answers = {key: ask(name, home, folder, command) for key, (at, command) in asked if at[0] not in HELD_OUT}
    return answers, spent_by_commands() - start


def spent_by_commands() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def finds(name: str, home: Path, folder: Path, known: dict[tuple, Counter]) -> bool:
    """Does a checker report more than about the clean run? Only calls that look at a changed file are made, and about
    a held-out file only if it is that one. What is not yet `known` of the clean run is asked about its copy."""
    before = calls(name, clean(folder))
    for key, (looked_at, command) in calls(name, folder).items():
        changed = [file for file in looked_at if differs(folder / file, folder)]
        if not changed or looked_at[0] in HELD_OUT and looked_at[0] not in changed:
            continue
        if key not in known:
            known[key] = ask(name, home, clean(folder), before[key][1]) if key in before else Counter()
        if ask(name, home, folder, command) - known[key]:
            return True
    return False


def kinds(answers: dict) -> set[str]:
    """The kinds of errors and warnings of a run."""
    return {kind for call in answers.values() for kind in call if not kind.startswith("exit status")}


def of_control(name: str, homes: dict[str, Path], folder: Path) -> dict[str, tuple[dict, float]]:
    """What the checkers, and the audit, report about a clean run, and in how many seconds of the processor."""
    study = build(name, folder / name)
    keep_clean(study)
    found = [item["check"] for item in study.audit()["findings"] if item["severity"] != "info"]
    answers = {OURS: ({("audit",): Counter(found)}, of_our_command(study.folder))}
    answers |= {checker: about_clean(checker, home, study.folder) for checker, home in homes.items()}
    shutil.rmtree(study.folder)
    return answers


def of_our_command(folder: Path) -> float:
    """The processor's seconds that `ftstudy audit` takes for a run, start included, as those of the others are."""
    start, options = spent_by_commands(), {"--inference": "profile.yaml", "--fused": "fused"}
    given = [part for name, file in options.items() if (folder / file).exists() for part in (name, str(folder / file))]
    command = [sys.executable, "-m", "ftstudy", "audit", "--config", str(folder / "config.yaml"), *given]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(paths.ROOT / "lib"), str(paths.ROOT / "tests")])}
    if subprocess.run(command, capture_output=True, env=environment, cwd=folder).returncode > 1:
        return float("nan")
    return spent_by_commands() - start


def of_case(number: int, case, homes: dict[str, Path], folder: Path, known: dict, pool) -> set[str]:
    """Who finds the fault of a case."""
    study = build(case.study, folder / str(number))
    keep_clean(study)
    case.spoil(study)
    describe(study)
    found = {OURS} if judge(case, study.audit())[0] else set()
    asked = pool.map(lambda checker: finds(checker, homes[checker], study.folder, known[checker]), homes)
    found |= {checker for checker, finds_it in zip(homes, asked) if finds_it}
    shutil.rmtree(study.folder)
    return found


def about(checker: str, case) -> bool:
    """Is the fault about what a checker is given and reads?"""
    if checker == OURS:
        return True
    ids = case.check.split("|")
    return any(one.startswith(CHECKERS[checker].subjects) and not one.startswith(UNSEEN) for one in ids)


def chosen(every: bool) -> tuple[list, list[str]]:
    """The cases and the clean runs to ask about."""
    if every:
        return CASES, list(PLANS)
    first = {case.check.partition("|")[0]: case for case in reversed(CASES)}
    cases = [case for case in CASES if case in first.values()]
    runs = {case.study for case in cases}
    of_form = {(plan.rows, plan.without, plan.bits): name for name, plan in reversed(PLANS.items())}
    covered = {(PLANS[name].rows, PLANS[name].without, PLANS[name].bits) for name in runs}
    runs |= {name for form, name in of_form.items() if form not in covered}
    return cases, [name for name in PLANS if name in runs]


def main(names: list[str], every: bool) -> None:
    cases, controls = chosen(every)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = Path(folder)
        versions = dict(zip(names, pool.map(lambda name: install(name, folder / "checkers" / name), names)))
        homes = {name: folder / "checkers" / name for name in names if " " not in versions[name]}
        for home in homes.values():
            (home / "home").mkdir()
        if not homes:
            print("No published checker could be installed, so none is compared with the audit:")
            print("\n".join(f"{name}: {why}" for name, why in versions.items()))
            return
        asked = {name: of_control(name, homes, folder) for name in controls}
        known = {name: {checker: said for checker, (said, _) in answers.items()} for name, answers in asked.items()}
        print(f"What each reports about the {len(controls)} clean runs\n")
        everyone, alarms, looked = (OURS, *homes), Counter(), Counter()
        for checker in everyone:
            reported = {name: kinds(known[name][checker]) for name in controls if known[name][checker]}
            always = set.intersection(*reported.values()) if len(reported) > 1 else set()
            print(f"{checker}, about every one: {', '.join(sorted(always)) or 'nothing'}")
            looked[checker] = len(reported)
            for name, said in reported.items():
                alarms[checker] += bool(said - always)
                if said - always:
                    print(f"    {name}: {', '.join(sorted(said - always))}", flush=True)
        print(f"\nWho finds what of {len(cases)} faults\n")
        hits, of_own, own = Counter(), Counter(), Counter()
        for number, case in enumerate(cases):
            who = of_case(number, case, homes, folder, known[case.study], pool)
            for checker in everyone:
                hits[checker] += checker in who
                own[checker] += about(checker, case)
                of_own[checker] += checker in who and about(checker, case)
            print(f"{case.check:40} {case.name[:60]:60} {', '.join(name for name in everyone if name in who)}", flush=True)  # fmt: skip
        seconds = {
            checker: sum(answers[checker][1] for answers in asked.values()) / max(1, looked[checker])
            for checker in everyone
        }
        print(f"\nMeasured on {date.today()}{'' if offline() else ', with the network on'}\n")
        print(f"| Checker | Version | Found, of its own subject | Found, of all {len(cases)} | False alarms | CPU seconds |")  # fmt: skip
        print("|---|---|---|---|---|---|")
        for checker in everyone:
            print(
                f"| {checker} | {versions.get(checker, 'this one')} | {of_own[checker]} of {own[checker]} "
                f"| {hits[checker]} | {alarms[checker]} of {looked[checker]} clean runs | {seconds[checker]:.1f} |"
            )
        for name in sorted(set(names) - set(homes)):
            print(f"| {name} | {versions[name]} | | | | |")


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "all"]
    if unknown := sorted(set(given) - set(CHECKERS)):
        sys.exit(f"No such checker: {', '.join(unknown)}. There are {', '.join(CHECKERS)}.")
    main(given or list(CHECKERS), every="all" in sys.argv)
