"""Faults in the data files: the family `data`, before any row is read."""

import json

from .spoiling import ALL, PLAIN

NOT_READ = ("data.no_valid", "data.fewer_than_batch")


def remove(*names):
    def spoil(study):
        for name in names or [path.name for path in study.data.iterdir()]:
            (study.data / name).unlink()

    return spoil


def only_hidden(study):
    remove()(study)
    (study.data / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def renamed(study):
    (study.data / "train.jsonl").rename(study.data / "training.jsonl")


def under(split, name, change=None):
    """A split's file under another name, its bytes changed."""

    def spoil(study):
        path = study.data / f"{split}.jsonl"
        data = path.read_bytes()
        path.unlink()
        (study.data / name).write_bytes(change(data) if change else data)

    return spoil


def as_array(data):
    return b"[" + b",".join(data.splitlines()) + b"]"


def moved_into_a_folder(study):
    (study.data / "v2").mkdir()
    for split in ALL:
        (study.data / f"{split}.jsonl").rename(study.data / "v2" / f"{split}.jsonl")


def emptied(split):
    return lambda study: (study.data / f"{split}.jsonl").write_bytes(b"")


def one_line(study, change):
    study.lines("train", lambda lines: [*lines[:-1], change(lines[-1])])


def as_bytes(split, change):
    def spoil(study):
        path = study.data / f"{split}.jsonl"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def pretty_printed(study):
    text = json.dumps(study.rows("train"), indent=2, ensure_ascii=False)
    (study.data / "train.jsonl").write_text(text, encoding="utf-8")


def kept(split, number):
    return lambda study: study.write(split, study.rows(split)[:number])


def cases():
    """Yield the arguments of `matrix.Case`."""
    error = "error"
    yield "folder missing", PLAIN, lambda study: study.configure(data=str(study.folder / "dta")), "data.missing", error
    yield "folder empty", PLAIN, remove(), "data.empty", error
    yield "folder with only .DS_Store", "formal-smollm2", only_hidden, "data.empty", error
    yield "train.jsonl misnamed", PLAIN, renamed, "data.no_train", error
    follows = ("data.no_valid",)
    yield "files in a subfolder", "stock-chatml", moved_into_a_folder, "data.no_train|data.empty", error, follows
    yield "valid.jsonl missing", "persian-gemma", remove("valid.jsonl"), "data.no_valid", "warning"
    yield "valid.jsonl as val.jsonl", PLAIN, under("valid", "val.jsonl"), "data.no_valid", "warning"
    yield "train.jsonl as train.json", "stock-chatml", under("train", "train.json"), "data.no_train", error
    yield "train.jsonl as one array", PLAIN, as_bytes("train", as_array), "data.bad_json", error
    yield "train.json as one array", PLAIN, under("train", "train.json", as_array), "data.no_train", error
    for split in ALL:
        yield f"{split}.jsonl of 0 bytes", PLAIN, emptied(split), "data.zero_bytes", error, NOT_READ
    blank = {
        "at the end of train": ("train", lambda lines: [*lines, b""]),
        "with spaces in valid": ("valid", lambda lines: [lines[0], b"  \t", *lines[1:]]),
        "between all rows of test": ("test", lambda lines: [part for line in lines for part in (line, b"")]),
    }
    for where, (split, change) in blank.items():
        yield (
            f"blank line {where}", "bilingual-llama3",
            lambda study, split=split, change=change: study.lines(split, change), "data.blank_line", error, ("parity.captured_rows",),
        )  # fmt: skip
    broken = {
        "last line cut off": lambda study: one_line(study, lambda line: line[: len(line) // 2]),
        "a trailing comma": lambda study: one_line(study, lambda line: line + b","),
        "Python's quotes": lambda study: one_line(study, lambda line: repr(json.loads(line)).encode()),
        "byte order mark": as_bytes("train", lambda data: b"\xef\xbb\xbf" + data),
        "UTF-16": as_bytes("valid", lambda data: data.decode().encode("utf-16")),
        "Windows-1252": as_bytes("train", lambda data: data.decode().encode("cp1252")),
        "one JSON array": pretty_printed,
        "CSV": as_bytes("test", lambda data: b"prompt,completion\nhey,yo\nwhen,now\nwho,me\nok,fine\n"),
    }
    for what, spoil in broken.items():
        follows = ("data.bad_messages", "config.epochs", *NOT_READ)
        yield f"not JSON: {what}", "turns-gemma", spoil, "data.bad_json", error, follows
    yield "3 rows, batches of 4", PLAIN, kept("train", 3), "data.fewer_than_batch", error, ("config.epochs",)
    yield "valid of 1 row", "formal-smollm2", kept("valid", 1), "data.fewer_than_batch", error
    batch = lambda study: study.configure(batch_size=64)  # noqa: E731
    yield "batches larger than the data", "hindi-mistral", batch, "data.fewer_than_batch", error, ("config.epochs",)
    yield "rows that do not fill a batch", PLAIN, kept("train", 198), "data.tail_rows", "info"
