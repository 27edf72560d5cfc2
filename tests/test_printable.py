"""Names that other people chose, on the terminal and in the page: nothing in them acts."""

import io
import json
import subprocess
import sys
import unicodedata

import pytest
from conftest import cases, example
from ftstudy import paths, printable, progress
from ftstudy.errors import StudyError
from ftstudy.report import charts, page, render
from hypothesis import given, strategies

NASTY = {
    "a terminal's title": "\x1b]0;owned\x07Ann",
    "a link of the terminal": "\x1b]8;;https://evil.example\x1b\\Ann",
    "colours and the cursor": "\x1b[31mAnn\x1b[2J\x1b[H",
    "C1 controls": "\x9b31mAnn\x9d0;x\x9c\x85",
    "the start of the line": "Ann\rBob",
    "a line of its own": "Ann\nERROR  data.missing",
    "the other direction": "Ann\u202egpj.exe\u202c",
    "isolates": "\u2066Ann\u2069\u2067",
    "no width": "An\u200bn\ufeff\u2060",
    "half a character": "Ann\ud83d",
    "a line separator": "Ann\u2028Bob\u2029",
    "tags": "Ann\U000e0041\U000e007f",
    "markup": "<img src=x onerror=alert(1)>Ann{{ 7 * 7 }}</bdi>",
}
FINE = cases("""
    Ann | Zoë | zoe\u0308 | Ольга | 小明 | سارا | می\u200cخواهم | नमस्ते | क्\u200dष | 👩\u200d👩\u200d👧 | ❤️
    🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f | 🇩🇪 | a\u00a0b | สมชาย | \u0301 | £5–€7
""")


def acts(text):
    """The characters that would do something instead of being seen; line breaks are ours."""
    return [
        one
        for one in text
        if one != "\n"
        and (
            unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")
            or one in "\u200b\u2060\ufeff\u202e\u202c\u2066\u2067\u2069\U000e0041"
        )
    ]


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_what_acts_is_escaped(name):
    shown = printable.one_line(name)
    assert not acts(shown) and "\n" not in shown and "Ann" in shown.replace("\\u200b", "")
    assert printable.printable(shown) == shown
    assert not acts(printable.printable(name)) or "\t" in name


@pytest.mark.parametrize("name", FINE)
def test_letters_marks_and_emoji_stay(name):
    assert printable.printable(name) == printable.one_line(name) == name


@given(strategies.text(strategies.characters(exclude_categories=()), max_size=30))
def test_any_text_becomes_printable_once_and_can_be_encoded(text):
    shown = printable.one_line(text)
    assert not acts(shown) and "\n" not in shown and "\t" not in shown
    assert printable.one_line(shown) == shown and shown.encode().decode() == shown
    assert (
        "".join(one for one in text if one.isalnum()) in "".join(one for one in shown if one.isalnum()) or shown != text
    )


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_a_study_error_is_one_printable_line(name):
    assert not acts(str(StudyError(f"No file {name}."))) and "\n" not in str(StudyError(name))


def test_streams_escape_what_libraries_print_and_let_bars_move():
    out, err = io.StringIO(), io.StringIO()
    saved = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        with printable.streams():
            print("a\x1b[2Jb\tc\nd", "\u202e")
            sys.stderr.write("\r\x1b]0;x\x07 50%")
            sys.stderr.write("\n\x1b[A")
    finally:
        sys.stdout, sys.stderr = saved
    assert out.getvalue() == "a\\u001b[2Jb\tc\nd \\u202e\n"
    assert err.getvalue() == "\r\\u001b]0;x\\u0007 50%\n\x1b[A"


def test_a_stream_in_another_encoding_gets_escapes():
    raw = io.BytesIO()
    saved = sys.stdout
    sys.stdout = terminal = io.TextIOWrapper(raw, encoding="latin-1")
    try:
        with printable.streams():
            print("é 小明")
        terminal.flush()
    finally:
        sys.stdout = saved
    assert raw.getvalue() == b"\xe9 \\u5c0f\\u660e\n"


def test_the_name_of_a_bar_is_printable(monkeypatch):
    monkeypatch.setattr(progress, "watched", lambda: True)
    written = io.StringIO()
    for _ in progress.bar(range(2), desc="\x1b]0;x\x07Ann", file=written):
        pass
    assert "\x1b]" not in written.getvalue() and "Ann" in written.getvalue()


# --- every verb

VERBS = {
    "extract": ("--source", "{}", "--owner", "{}", "--out", "out"),
    "audit": ("--config", "{}"),
    "diagnose": ("{}",),
    "train": ("--config", "{}", "--run", "x"),
    "sweep": ("{}", "--run", "x"),
    "compare": ("--run", "{}"),
    "report": ("--run", "{}"),
    "archaeology": ("--config", "{}"),
    "record": ("--server", "{}", "--config", "{}"),
    "check": ("--config", "{}", "--source", "", "--owner", "", "--inference", ""),
    "notebook": ("{}", "--run", "{}"),
    "no such verb": ("{}",),
}


def ftstudy(*arguments, cwd, text=True):
    # Surrogates stand for the bytes that are no UTF-8, as in file names.
    command = [sys.executable, "-m", "ftstudy", *arguments]
    result = subprocess.run([one.encode("utf-8", "surrogatepass") for one in command], capture_output=True, cwd=cwd)
    return result.returncode, result.stdout.decode() + result.stderr.decode()


ALL = "".join(one for key, one in NASTY.items() if key != "markup").replace("/", "")


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_prints_a_nasty_argument_as_it_is(verb, tmp_path):
    status, printed = ftstudy(verb, *(one.format(ALL) for one in VERBS[verb]), cwd=tmp_path)
    assert status == (1 if verb == "sweep" else 2), printed
    assert not acts(printed) and "\nERROR" not in printed, printed


@pytest.fixture
def study(tmp_path, write_split):
    """A run whose folders and files have nasty names, and whose rows have nasty speakers."""
    folder = tmp_path / ALL.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    name = NASTY["colours and the cursor"] + NASTY["the other direction"]
    for split in ("train", "valid", "test"):
        rows = [
            example(f"You are Sam.{name}", f"{name}: hm {at}\nSam: and {at}?", f"{name}: ok {at}") for at in range(12)
        ]
        write_split(folder / "rows", split, [*rows, example(reply="call +49 176 12345678")])
    config = folder / "config.yaml"
    config.write_text("model: tiny\ndata: rows\n", encoding="utf-8")
    return folder


def test_the_audit_of_nasty_rows_prints_and_stores_them_harmlessly(study):
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "ftstudy",
            "audit",
            "--config",
            "config.yaml",
            "--model",
            str(paths.MODELS / "tiny"),
            "--json",
            "found.json",
        ],
        capture_output=True,
        cwd=study,
    )
    printed = result.stdout.decode() + result.stderr.decode()
    assert result.returncode == 1 and "data.identifiers" in printed and not acts(printed), printed
    found = json.loads((study / "found.json").read_text(encoding="utf-8"))["findings"]
    page_ = str(render.fragment("findings", findings=found))
    assert not acts(page_) and "<bdi>" in page_


# --- the page


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_tables_and_samples_isolate_names_and_escape_them(name):
    sample = {
        "context": f"{name}: hi\nسارا: سلام",
        "true": name,
        "replies": [{"model": name, "format": name, "text": name, "stopped": True}],
    }
    shown = [
        render.table(
            [{"name": name, "many": [name, "b"], "n": 3}], {"name": name, "many": "Many", "n": "N"}, f"of “{name}”"
        ),
        render.fragment("samples", samples=[sample], caption=name),
        render.fragment("pair", pair={"context": name, "texts": [name, ""]}),
        render.fragment(
            "diff", sides={"training": [(name, True)], "inference": [(name, False)]}, name=name, caption=name
        ),
    ]
    for made in map(str, shown):
        assert not acts(made) and "<img" not in made and "49" not in made and made.encode()
        assert made.count("<bdi>") == made.count("</bdi>") >= 2
    assert "<bdi>سارا: سلام</bdi>" in shown[1]


@pytest.mark.parametrize("name", [*NASTY.values(), "$x^$", "$\\frac$"])
def test_charts_draw_any_name(name):
    row = {"model": name, "format": name, "nats_per_reply_token": 1.0, "interval": [0.5, 1.5]}
    figures = charts.arms([row]), charts.quality([{"model": name, "seconds": 1.0, "bits_per_byte": 2.0}])
    for picture in (str(render.picture(figure, name)) for figure in figures):
        assert picture.startswith("<svg") and picture.rstrip().endswith("</svg>") and not acts(picture)


def test_the_page_of_a_run_with_nasty_names(tmp_path):
    name = "".join(NASTY.values())
    run = tmp_path / "run"
    run.mkdir()
    extraction = {
        "source": name,
        "kind": "whatsapp",
        "notes": [f"{name}: read as dmy."],
        "masked": {},
        "variants": {name: {"train": {"bytes": 1, "examples": 1}}},
        "funnel": [{"step": name, "removed": 1, "left": 1, "unit": "messages", "examples": [name]}],
        "messages": 1,
        "pairs": 1,
        "rows": None,
    }
    (run / "extraction.json").write_text(json.dumps(extraction), encoding="utf-8")
    built = page.build(run, name).read_text(encoding="utf-8")
    assert not acts(built) and "<img" not in built and "\\u202e" in built and "<bdi>" in built
