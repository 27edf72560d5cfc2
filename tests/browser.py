"""A page in Debian's Chromium without a network, driven over its debugging port."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
FLAGS = "headless=new no-sandbox disable-gpu no-first-run disable-background-networking disable-sync"
FLAGS += " disable-component-update remote-debugging-port=0 remote-allow-origins=*"
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


class Page:
    """A tab: `js` evaluates, `press` presses a key, `said` are the console's messages and the page's errors."""

    def __init__(self, address: str):
        import websocket

        self._socket, self._number, self.said, self.asked = websocket.create_connection(address, timeout=60), 0, [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            got = json.loads(self._socket.recv())
            self._note(got)
            if got.get("id") == self._number:
                assert "error" not in got, got
                return got["result"]

    def _note(self, got: dict) -> None:
        method, given = got.get("method"), got.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(one.get("value", "")) for one in given["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(given["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.said.append(given["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(given["request"]["url"])

    def open(self, path: Path, width: int = 1200, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        for _ in range(200):
            if self.js("document.readyState") == "complete" and self.js("location.href") == path.as_uri():
                return
            time.sleep(0.05)
        raise AssertionError(f"{path} does not load")

    def js(self, expression: str):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def picture(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
        return path


@contextmanager
def page():
    """A new tab of a new Chromium, with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [f"--{flag}" for flag in FLAGS.split()]
        command = [CHROMIUM, *flags, OFFLINE, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Page(_address(Path(profile) / "DevToolsActivePort"))
        finally:
            browser.kill()
            browser.wait()


def _address(path: Path) -> str:
    import httpx

    for _ in range(600):
        if path.is_file() and len(lines := path.read_text().splitlines()) > 1:
            tabs = httpx.get(f"http://127.0.0.1:{lines[0]}/json", trust_env=False).json()
            if found := [tab for tab in tabs if tab["type"] == "page"]:
                return found[0]["webSocketDebuggerUrl"]
        time.sleep(0.1)
    raise AssertionError("chromium does not start")
