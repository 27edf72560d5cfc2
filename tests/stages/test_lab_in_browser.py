"""A real JupyterLab in Chromium: every notebook from the menu to its end, and everything that can be moved in it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import browser
import httpx
import pytest
import staged_finetunes
import yaml
from ftstudy import paths
from ftstudy.demo import sample, tiny_chat
from ftstudy.stages import notebooks

pytestmark = [pytest.mark.slow, browser.needs_chromium]
NAMES = ["01_extract", "02_format_audit", "03_train", "04_compare"]
TOKEN = "made-up"
MINUTE = 60_000
BUSY = "[...document.querySelectorAll('.jp-InputArea-prompt')].filter(one => one.textContent.includes('*')).length"
FOLDED = ".jp-CodeCell .jp-InputPlaceholder"
FAILED = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """`ftstudy lab` on a run of the sample's messages, with folders of its own for what Jupyter keeps."""
    project = tmp_path_factory.mktemp("project")
    config = staged_finetunes.CONFIG | staged_finetunes.WITH_STUDY
    config |= {"model": str(tiny_chat.FOLDER), "data": "rows/raw_style_variable", "adapter_path": "adapter"}
    for name, iterations in (("mine", 10), ("other", 0)):
        more = {"iters": iterations, "steps_per_eval": 5, "steps_per_report": 2, "batch_size": 4, "learning_rate": 2e-4}
        (project / f"{name}.yaml").write_text(yaml.safe_dump(config | more))
    given = {"config": "mine.yaml"}
    asked = {
        "01_extract": {"source": str(sample.TELEGRAM), "contacts": "", "out": "rows"},
        "02_format_audit": given | {"stage_history": "false"},
        "03_train": given | {"adapter": "", "iterations": "0", "evaluate_every": "0", "stock": "false"},
        "04_compare": given | {"replies": "20"},
    }
    with contextlib.chdir(project):
        for name in NAMES:
            notebooks.execute(name, paths.run_folder("mine"), {"run": "mine", **asked[name]})
    with served(project) as address:
        yield SimpleNamespace(address=address, project=project)


@contextlib.contextmanager
def served(project):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    watched = {name: value for name, value in os.environ.items() if name not in ("FTSTUDY_HEADLESS", "PYTEST_VERSION")}
    folders = {name: str(project / "jupyter" / name) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    folders |= {"JUPYTER_CONFIG_DIR": str(project / "jupyter"), "JUPYTERLAB_SETTINGS_DIR": str(project / "settings")}
    folders |= {"JUPYTERLAB_WORKSPACES_DIR": str(project / "workspaces")}
    options = ["--no-browser", "--allow-root", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    command = [sys.executable, "-m", "ftstudy", "lab", "--run", "mine", "--", *options]
    address = f"http://127.0.0.1:{port}"
    with open(project / "lab.log", "w") as log:
        server = subprocess.Popen(command, cwd=project, env=watched | folders, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{address}/api", trust_env=False)
                break
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def begun(lab):
    """A tab with the start page; what earlier ones had open is closed."""
    shutil.rmtree(lab.project / "workspaces", ignore_errors=True)
    with browser.page(offline=False) as tab:
        tab.set_default_timeout(MINUTE)
        tab.set_viewport_size({"width": 1400, "height": 1000})
        tab.goto(f"{lab.address}/?token={TOKEN}")
        tab.wait_for_selector(".jp-MarkdownViewer h1")
        yield tab


@pytest.fixture
def tab(lab):
    with begun(lab) as tab:
        yield tab


def opened(tab, name):
    """The notebook, opened by its link on the start page."""
    tab.locator(f".jp-MarkdownViewer a[href*='{name}.ipynb']").click()
    notebook = tab.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    tab.wait_for_function(f"document.querySelectorAll('{FOLDED}').length >= 10")  # its cells come one by one
    tab.wait_for_timeout(1000)
    return notebook


def run_all(tab, notebook):
    """Run it from the menu, to its end."""
    tab.locator(".lm-MenuBar-item", has_text="Run").click()
    tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    tab.wait_for_function(f"{BUSY} > 0")
    tab.wait_for_function(f"{BUSY} === 0", timeout=4 * MINUTE)
    assert not notebook.locator(FAILED).all_text_contents()
    assert "Error displaying widget" not in notebook.text_content()


def outputs(cell):
    return cell.locator(".jp-Cell-outputArea").inner_html()


def changed(cell, before):
    """What a cell shows once it shows something else than before."""
    for _ in range(300):
        if (now := outputs(cell)) != before:
            return now
        time.sleep(0.1)
    raise AssertionError("nothing has changed")


def cell_with(notebook, text):
    return notebook.locator(".jp-CodeCell", has=notebook.page.locator(f"text={text}")).last


def slide(notebook):
    """Move the last cell's slider, and expect another result."""
    last = notebook.locator(".jp-CodeCell").last
    shown = last.locator(".jupyter-widgets.widget-output, .jp-OutputArea-child").last
    before = shown.inner_html()
    last.locator("[role=slider]").first.press("ArrowRight")
    for _ in range(300):
        if shown.inner_html() != before:
            return
        time.sleep(0.1)
    raise AssertionError("the slider changes nothing")


def test_it_begins_at_the_runs_page_without_news_or_questions(tab, lab):
    assert urlsplit(tab.url).path == "/lab/tree/reports/mine/lab/start.md"
    text = tab.locator(".jp-MarkdownViewer").text_content()
    assert "The run mine" in text and "mine.yaml" in text
    time.sleep(3)  # the question about news came after a moment
    assert not tab.locator(".jp-Dialog, .jp-Notification-Toast-Close").count()
    assert not [
        url for url in tab.asked if not url.startswith((lab.address, lab.address.replace("http", "ws"), "data:"))
    ]


def test_code_is_folded_and_what_was_stored_is_shown_before_anything_runs(tab):
    notebook = opened(tab, "04_compare")
    assert notebook.locator(FOLDED).count() >= 15
    colour = "getComputedStyle(document.querySelector('.verdict')).color"
    assert tab.evaluate(colour) != tab.evaluate("getComputedStyle(document.querySelector('.jp-OutputArea td')).color")


def test_extract_runs_and_shows_another_variant(tab):
    notebook = opened(tab, "01_extract")
    run_all(tab, notebook)
    cell = cell_with(notebook, "The first row of each train.jsonl")
    before = outputs(cell)
    cell.locator("select").select_option("wrapped")
    assert "Last Message:" in changed(cell, before)
    slide(notebook)


def test_format_audit_runs_and_audits_another_config_and_prompt(tab):
    notebook = opened(tab, "02_format_audit")
    run_all(tab, notebook)
    cell = notebook.locator(".jp-CodeCell", has=tab.locator("select")).first
    before = outputs(cell)
    cell.locator("select").first.select_option("other.yaml")
    assert "iters" in changed(cell, before) and "iters" not in before
    playground = notebook.locator(".jp-CodeCell", has=tab.locator("textarea")).first
    assert "24 of 24 prompts differ" in playground.text_content()
    before = outputs(playground)
    system, user = (playground.locator("textarea").nth(at) for at in (0, 1))
    system.fill("You are Sam. Reply to text messages the way Sam texts.")
    user.fill("")
    user.press("Tab")
    tab.wait_for_function("document.body.textContent.includes('all 24 prompts are identical to training')")
    assert "equally likely" in changed(playground, before)
    slide(notebook)


def test_training_shows_its_curve_while_it_runs(tab):
    notebook = opened(tab, "03_train")
    run_all(tab, notebook)
    curve = cell_with(notebook, "kept: iteration")
    assert "training" in curve.locator("svg.ftstudy-chart").text_content()
    slide(notebook)


def test_comparison_runs_and_the_blind_test_takes_a_choice(tab):
    notebook = opened(tab, "04_compare")
    run_all(tab, notebook)
    assert notebook.locator("svg.ftstudy-chart").count() >= 2
    blind = notebook.locator(".jp-CodeCell", has=tab.locator("button:has-text('neither')")).first
    assert "0 of " in blind.text_content()
    blind.locator("button:has-text('neither')").click()
    tab.wait_for_function("document.body.textContent.includes('1 of ')")
    slide(notebook)


# Of each text in the results: its contrast with what is behind it, as WCAG computes it.
CONTRASTS = """() => {
  const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3]));
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const behind = e => { const own = e ? rgba(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
    return own[3] === 1 ? own : over(own, behind(e.parentElement)) };
  const found = [];
  for (const output of document.querySelectorAll('.jp-Cell-outputArea')) for (const e of output.querySelectorAll('*')) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    if (!text || e.closest('style, svg') || !e.getClientRects().length) continue;
    const back = behind(e), [a, b] = [light(over(rgba(getComputedStyle(e).color), back)), light(back)];
    found.push({text: text.slice(0, 60), ratio: (Math.max(a, b) + .05) / (Math.min(a, b) + .05)});
  }
  return found }"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_results_can_be_read_in_either_theme(lab, theme):
    setting = f"{lab.address}/lab/api/settings/@jupyterlab/apputils-extension:themes"
    raw = {"raw": f'{{"theme": "{theme}"}}'}
    httpx.put(setting, json=raw, headers={"Authorization": f"token {TOKEN}"}, trust_env=False).raise_for_status()
    with begun(lab) as tab:
        for name in ("02_format_audit", "04_compare"):
            opened(tab, name)
            assert tab.evaluate("document.body.dataset.jpThemeLight") == str(theme.endswith("Light")).lower()
            found = tab.evaluate(CONTRASTS)
            assert len(found) > 100 and not [one for one in found if one["ratio"] < 4.5]
            tab.locator(".lm-TabBar-tab", has_text="start.md").click()
