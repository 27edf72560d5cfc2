"""Run commands, and write what they did on the network: `python watched.py RESULT.json COMMANDS.json`.

RESULT.json: {"codes", "said": of each command; "addresses": asked for by Python code; "sockets": internet sockets
that any process had open; "packets": that the system counted}. Where a network namespace can be made, the commands
run in one that has the loopback device and no route, and `packets` counts what they sent, or tried to send, over any
network; elsewhere it is None.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil


def leave_network() -> bool:
    """Move this process into a network namespace of its own; False where the system does not allow it."""
    user, group = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWNET | (os.CLONE_NEWUSER if user else 0))
    except (AttributeError, OSError):  # not Linux, or not allowed
        return False
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as control:  # as `ip link set lo up`
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    return True


def packets() -> int:
    """What this namespace sent over its loopback device, and what it had no route for."""
    table = {}
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    table |= dict(zip(names, values))
    if Path("/proc/net/snmp6").exists():
        table |= dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    (loopback,) = [line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:")]
    sent = int(loopback.split(":")[1].split()[9])
    # Without a route nothing is sent but messages to the namespace itself, such as that a place cannot be reached.
    return sent + int(table["OutNoRoutes"]) + int(table.get("Ip6OutNoRoutes", 0))


def run(command: list[str], sockets: set) -> tuple[int, str]:
    """The command's exit status and what it printed; adds the internet sockets of all its processes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    looking = threading.Thread(target=_look, args=(process, sockets))
    looking.start()
    said, _ = process.communicate()
    looking.join()
    return process.returncode, said


def _look(process, sockets: set) -> None:
    while process.poll() is None:
        with suppress(psutil.Error):
            first = psutil.Process(process.pid)
            for one in (first, *first.children(recursive=True)):
                with suppress(psutil.Error):
                    for found in one.net_connections("inet"):
                        sockets.add((found.status, *found.laddr[:1], *found.raddr[:1]))
        time.sleep(0.05)


def main(result: Path, commands: list[list[str]]) -> None:
    apart = leave_network()
    addresses = result.with_suffix(".addresses")
    os.environ |= {"WATCHED_ADDRESSES": str(addresses)}
    before = packets() if apart else None
    sockets = set()
    ended = [run(command, sockets) for command in commands]
    found = {
        "codes": [code for code, _ in ended],
        "said": [said for _, said in ended],
        "addresses": sorted(set(addresses.read_text().splitlines())) if addresses.exists() else [],
        "sockets": sorted(sockets),
        "packets": packets() - before if apart else None,
    }
    result.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
