"""A page in Debian's Chromium, without the internet."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVEN = all(map(importlib.util.find_spec, ("playwright", "axe_playwright_python")))
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or not DRIVEN,
    reason="needs Chromium (Debian: apt install chromium), and what `make test` installs next to it",
)

LOCAL = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@contextmanager
def page(offline: bool = True) -> Iterator:
    """A tab of a new Chromium, as Playwright gives it. `offline`: False to reach this machine's own servers.

    `said`: the console's messages and the page's errors; `asked`: the addresses that it asked for.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", LOCAL])
        tab = chromium.new_context(offline=offline).new_page()
        tab.said, tab.asked = [], []
        tab.on("console", lambda message: tab.said.append(message.text))
        tab.on("pageerror", lambda error: tab.said.append(str(error)))
        tab.on("request", lambda request: tab.asked.append(request.url))
        try:
            yield tab
        finally:
            chromium.close()


def show(tab, path: Path, width: int = 1200, scheme: str = "light") -> None:
    """Open a file in the tab."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.goto(path.as_uri())


def without_scripts(tab):
    """A new tab of the same Chromium that runs no scripts."""
    return tab.context.browser.new_context(offline=True, java_script_enabled=False).new_page()
