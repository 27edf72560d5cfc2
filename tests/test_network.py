"""A run on local models uses no network: it sends nothing, asks for no address, and nothing can connect to it."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import tiny_config
from ftstudy import paths

HELPERS = Path(__file__).parent / "network"
SAMPLE = paths.ROOT / "data" / "sample"
STUDY = [
    ["extract", "--source", f"{SAMPLE}/chat.db", "--owner", "Sam", "--contacts", f"{SAMPLE}/contacts.vcf"]
    + ["--out", "data"],
    ["audit", "--config", "config.yaml", "--inference", "historical"],
    ["train", "--config", "config.yaml", "--run", "trained"],
    ["diagnose", "config.yaml", "--inference", "historical", "--replies", "4", "--run", "watched"],
    ["compare", "--run", "watched", "-p", "config", "config.yaml", "-p", "replies", "5"],
    ["report", "--run", "watched"],
]


def watched(folder, *commands):
    """What the commands do on the network, as network/watched.py reports it."""
    result, listed = folder / "result.json", folder / "commands.json"
    listed.write_text(json.dumps(commands))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(HELPERS), str(paths.ROOT / "lib")])}
    command = [sys.executable, HELPERS / "watched.py", result, listed]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return json.loads(result.read_text())


def beyond_this_machine(found):
    """The addresses that are not this machine's own."""
    hosts = {line.split()[1] for line in found["addresses"]}
    return {host for host in hosts if host != "localhost" and not _is_loopback(host)}


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "config.yaml").write_text(tiny_config(iterations=8, ftstudy={"train_on": "last"}))
    found = watched(folder, *[[sys.executable, "-m", "ftstudy", *arguments] for arguments in STUDY])
    # 1: the original app's prompt, which the audit and the diagnosis call an error
    assert found["codes"] == [0, 1, 0, 1, 0, 0], found["said"]
    assert (folder / "reports" / "watched" / "index.html").is_file()
    return found


@pytest.mark.slow
def test_no_address_beyond_this_machine_is_asked_for_or_used(study):
    assert not beyond_this_machine(study)


@pytest.mark.slow
def test_no_process_of_a_run_can_be_connected_to(study):
    assert study["sockets"] == []


@pytest.mark.slow
def test_nothing_is_sent_over_any_network(study):
    assert study["packets"] in (0, None)  # None where the system lets nobody make a namespace


ATTEMPTS = """
import socket, time
def attempt(call):
    try:
        call()
    except OSError:
        pass
ours = socket.create_server(("127.0.0.1", 0))
attempt(lambda: socket.create_connection(ours.getsockname()))
attempt(lambda: socket.create_connection(("192.0.2.1", 80), timeout=0.1))
attempt(lambda: socket.getaddrinfo("ftstudy.invalid", 80))
time.sleep(1)
"""


def test_every_attempt_would_be_noticed(tmp_path):
    found = watched(tmp_path, [sys.executable, "-c", ATTEMPTS])
    assert found["codes"] == [0], found["said"]
    assert beyond_this_machine(found) == {"192.0.2.1", "ftstudy.invalid"}
    assert ["LISTEN", "127.0.0.1"] in found["sockets"]
    assert found["packets"] is None or found["packets"] > 1


@pytest.mark.slow
def test_modules_in_the_current_folder_are_not_imported(tmp_path):
    for name in ("pandas", "matplotlib", "yaml", "jinja2", "ftstudy"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'a').write(__name__)")
    notebook = [
        "notebook",
        "01_extract",
        "-p",
        "source",
        f"{SAMPLE}/chat.db",
        "-p",
        "contacts",
        "",
        "-p",
        "out",
        "data",
    ]
    found = watched(tmp_path, [sys.executable, "-P", "-m", "ftstudy", *notebook])  # as the command `ftstudy` starts
    assert found["codes"] == [0], found["said"]
    assert not (tmp_path / "executed").exists()
