"""The blind test in the terminal, in the page and in JupyterLab: choices, undo, the result, and what the page saves."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import browser
import pytest
from conftest import ftstudy, refused
from ftstudy import cli, files, report
from ftstudy.compare import preference
from ftstudy.report import blind_test, render

TUNED, BASE = "tuned, aligned", "base, aligned"


def pair(at, first=TUNED):
    """A pair whose first reply is `first`'s."""
    texts = {TUNED: f"yo {at}", BASE: f"Hello number {at}!"}
    arms = [first, BASE if first == TUNED else TUNED]
    return {"row": at, "context": f"hey {at}\nyou there?", "arms": arms, "texts": [texts[arm] for arm in arms]}


PAIRS = [pair(0), pair(1, BASE), pair(2), pair(3, BASE)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder that was compared."""
    folder = tmp_path / "reports" / "mine"
    files.write_json(folder / "comparison.json", {"preference_pairs": PAIRS})
    monkeypatch.chdir(tmp_path)
    built = []
    monkeypatch.setattr(report, "write", lambda folder: built.append(folder) or folder / "index.html")
    return folder


def saved(keys, pairs=PAIRS):
    return json.dumps({"kind": preference.KIND, "run": "mine", "pairs": preference.digest(pairs), "choices": keys})


# --- choices ---------------------------------------------------------------------------------------------------------


def test_undo_forgets_the_latest_choice_and_then_the_one_before(run):
    for at, key in ((2, "1"), (0, "2"), (1, "0")):
        preference.choose(run, PAIRS[at], key)
    assert preference.keys(PAIRS, preference.choices(run)) == ["2", "0", "1", None]
    assert [preference.undo(run, PAIRS)["row"] for _ in range(3)] == [1, 0, 2]
    assert preference.undo(run, PAIRS) is None and preference.choices(run) == []


def test_undo_leaves_the_choices_about_other_replies(run):
    preference.choose(run, PAIRS[0], "1")
    preference.choose(run, PAIRS[1], "2")
    assert preference.undo(run, PAIRS[:1])["row"] == 0
    assert [one["row"] for one in preference.choices(run)] == [1]


def test_what_the_page_saved_is_taken_in_as_if_it_had_been_pressed_here(run):
    preference.choose(run, PAIRS[0], "2")
    assert preference.take(run, PAIRS, saved(["1", "2", None, "0"]), "it") == 3
    assert preference.keys(PAIRS, preference.choices(run)) == ["1", "2", None, "0"]
    found = preference.result(PAIRS, preference.choices(run))
    assert (found["wins"], found["losses"], found["ties"]) == (2, 0, 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"kind": "other", "choices": []}', saved("1"), saved(["3"] * 4), saved([1, 2, 0, 0])],
)
def test_a_file_that_is_not_the_pages_is_refused(run, text):
    refused(
        lambda: preference.take(run, PAIRS, text, "it.json"), "it.json has no blind-test choices", "Save my choices"
    )
    assert preference.choices(run) == []


def test_choices_about_other_replies_are_refused(run):
    other = [PAIRS[0] | {"texts": ["yo", "no"]}, *PAIRS[1:]]
    for text in (saved(["1"] * 4, other), saved(["1"] * 3)):
        refused(lambda: preference.take(run, PAIRS, text, "it.json"), "not about the replies", "reports/mine")
    assert preference.choices(run) == []


def test_a_run_without_pairs_says_what_to_do(run):
    refused(lambda: preference.pairs_of(run.parent / "none"), "reports/none", "ftstudy diagnose")
    files.write_json(run / "comparison.json", {"preference_pairs": []})
    refused(lambda: preference.pairs_of(run), "nothing to choose between")


# --- the terminal ----------------------------------------------------------------------------------------------------


def taken_in_a_terminal(run, keys):
    """What the command prints to a terminal in which these keys are pressed once it asks."""
    master, terminal = os.openpty()
    script = "from ftstudy import cli, report\nreport.write = lambda folder: folder\ncli.main()"
    command = [sys.executable, "-u", "-c", script, "blind", run.name]
    process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.close(terminal)
    lines = []
    while not lines or "q stop" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    os.write(master, keys.encode())
    said, _ = process.communicate(timeout=60)
    os.close(master)
    return process.returncode, "".join(lines) + said


def test_keys_in_a_terminal_choose_undo_and_stop(run):
    status, said = taken_in_a_terminal(run, "1x2u0rq")
    assert status == 0, said
    assert preference.keys(PAIRS, preference.choices(run)) == ["1", "0", None, None]
    assert "hey 0" in said and "yo 0" in said and "tuned, aligned" not in said
    assert "The tuned model won 1 of 1 decided pair, 1 for neither: 100%" in said
    assert "The report has the result: reports/mine" in said
    status, said = taken_in_a_terminal(run, "22q")
    assert "hey 0" not in said and "3 of 4" in said and "All 4 pairs are decided" in said
    assert preference.keys(PAIRS, preference.choices(run)) == ["1", "0", "2", "2"]


def test_a_key_of_several_bytes_is_not_a_choice(run):
    taken_in_a_terminal(run, "\x1b[1~\x1b[2~\x1bOBq")
    assert preference.choices(run) == []


def test_without_a_terminal_it_says_what_else_to_do(run):
    made = subprocess.run(
        [sys.executable, "-m", "ftstudy", "blind", "mine"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert made.returncode == 2 and "needs a terminal" in made.stderr and "--take FILE" in made.stderr


def status(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code


def test_a_saved_file_is_read_in_by_the_command(run, capsys):
    (run.parents[1] / "blind-mine.json").write_text(saved(["1", "2", "1", None]))
    assert status("blind", "mine", "--take", "blind-mine.json") == 0
    assert "Imported 3 of 4 choices." in capsys.readouterr().out
    assert status("blind", "mine", "--take", "none.json") == 2
    assert "none.json cannot be read" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    made = ftstudy("blind", "nothing", cwd=tmp_path)
    assert made.returncode == 2 and "reports/nothing has no comparison yet" in made.stderr
    assert not (tmp_path / "reports").exists()


# --- JupyterLab ------------------------------------------------------------------------------------------------------


def test_the_widget_undoes_and_shows_the_result_when_asked(run):
    shown, row, said, result = blind_test.ask(run, PAIRS).children
    first, undo = row.children[1], row.children[4]
    first.click()
    assert said.value == "1 of 4 decided."
    result.value = True
    assert "won 1 of 1" in said.value
    undo.click()
    assert "yo 0" in shown.value and said.value.startswith("0 of 4") and preference.choices(run) == []


# --- the page --------------------------------------------------------------------------------------------------------

HOSTILE = {"context": "</script><img src=x onerror=alert(1)>\n\u202etxt", "texts": ["<b>bold</b>\x1b[31m", ""]}


def written(run, pairs, path):
    """A page that has the blind test alone, with the policy of the report's."""
    script = (render.TEMPLATES / "blind_test.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    css = "".join((render.TEMPLATES / f"{name}.css").read_text() for name in ("report", "blind_test"))
    body = render.fragment("blind_test", blind=blind_test.in_page(run, pairs, f"make blind RUN={run.name}"))
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Blind test</title><meta name="viewport" '
        f'content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<style>{css}</style><main>{body}</main><script>{script}</script></html>",
        encoding="utf-8",
    )
    return path


def test_the_page_does_not_say_which_reply_is_whose(run):
    body = str(render.fragment("blind_test", blind=blind_test.in_page(run, PAIRS, "make blind RUN=mine")))
    assert TUNED not in body and "yo 0" not in body and "make blind RUN=mine" in body
    assert "onclick" not in body and "<script" not in body
    assert blind_test.in_page(run, [], "make blind RUN=mine") is None


@pytest.fixture(scope="module")
def chromium():
    with browser.page() as tab:
        yield tab


def text_of(tab, name):
    return tab.locator(f".blind-{name}").first.text_content()


@browser.needs_chromium
def test_the_page_takes_keys_and_buttons_and_keeps_the_choices(run, chromium, tmp_path):
    path = written(run, PAIRS, tmp_path / "page.html")
    browser.show(chromium, path)
    chromium.keyboard.press("1")  # elsewhere in the page a key is no choice
    assert text_of(chromium, "status") == "0 of 4 decided." and text_of(chromium, "context") == "hey 0\nyou there?"
    chromium.locator(".blind-box").focus()
    for key in "1x2u":
        chromium.keyboard.press(key)
    assert text_of(chromium, "status") == "1 of 4 decided." and "tuned" not in text_of(chromium, "live")
    chromium.locator('[data-key="0"]').click()
    browser.show(chromium, path)  # again
    assert text_of(chromium, "status") == "2 of 4 decided." and "hey 2" in text_of(chromium, "context")
    chromium.locator(".blind-box").focus()
    chromium.keyboard.press("2")
    chromium.keyboard.press("1")
    assert "Every pair is decided" in text_of(chromium, "place")
    status = text_of(chromium, "status")
    chromium.locator(".blind-copy").click()
    text = chromium.locator(".blind-text").input_value()
    assert preference.take(run, PAIRS, text, "it") == 4
    assert preference.keys(PAIRS, preference.choices(run)) == ["1", "0", "2", "1"]
    told = preference.in_words(preference.result(PAIRS, preference.choices(run)))
    assert status == f"4 of 4 decided. {told}"
    assert chromium.said == [] and all(address.startswith("file:") for address in chromium.asked)


@browser.needs_chromium
def test_the_page_goes_on_with_what_was_chosen_in_the_terminal(run, chromium, tmp_path):
    other = [pair(at) for at in range(5, 9)]
    preference.choose(run, other[0], "2")
    browser.show(chromium, written(run, other, tmp_path / "page.html"))
    assert text_of(chromium, "status") == "1 of 4 decided."


@browser.needs_chromium
def test_other_peoples_words_stay_words_in_the_page(run, chromium, tmp_path):
    nasty = [PAIRS[0] | HOSTILE, PAIRS[1]]
    browser.show(chromium, written(run, nasty, tmp_path / "page.html"), width=360)
    assert text_of(chromium, "context").startswith("</script><img src=x onerror=alert(1)>\n\\u202e")
    assert "<b>bold</b>\\u001b[31m" in text_of(chromium, "reply")
    assert chromium.locator("img").count() == 0 and chromium.said == []
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 360


@browser.needs_chromium
def test_without_scripts_the_page_says_how_to_take_the_test_in_the_terminal(run, chromium, tmp_path):
    tab = browser.without_scripts(chromium)
    browser.show(tab, written(run, PAIRS, tmp_path / "page.html"))
    shown = tab.locator("body").inner_text()
    assert "make blind RUN=mine" in shown and "Save my choices" not in shown
