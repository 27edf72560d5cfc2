"""The kernel of notebooks that run unattended: nothing on the network can reach it, and no code in the folder it
runs in is imported.

An ordinary kernel listens on 127.0.0.1, even over socket files: forked processes print through a port that every user
of the machine can connect to. It also imports modules from the current folder first, which may be a stranger's project.
"""

import sys

from ipykernel import iostream, kernelapp
from jupyter_client.manager import AsyncKernelManager


class Manager(AsyncKernelManager):
    """Starts this module in place of the installed `python3` kernel, with this process's own interpreter."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        closed = ["--InteractiveShellApp.ignore_cwd=True", *(extra_arguments or [])]
        return [sys.executable, "-P", "-m", __name__, "-f", self.connection_file, *closed]


class _WithoutPort(iostream.IOPubThread):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options | {"pipe": False})


if __name__ == "__main__":
    kernelapp.IOPubThread = _WithoutPort
    kernelapp.launch_new_instance()
