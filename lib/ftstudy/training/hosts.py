"""One training run on several machines, or in several processes on this one, with MLX's launcher."""

import os
import subprocess
import sys
from pathlib import Path

from ..engine import blas
from ..errors import StudyError


def launch(hosts: str, arguments: list[str]) -> None:
    """Run `ftstudy ARGUMENTS` on every host at once, data-parallel, with `mlx.launch`.

    `hosts`: comma-separated addresses, this machine's first, since it gets the results; or a number of processes
    on this machine. Every machine needs the same folders and this environment, and must accept this one by ssh.
    Each step's batch is divided among them. The launcher doesn't report failure: look for the result. Raises
    StudyError if there is no launcher.
    """
    launcher = Path(sys.executable).with_name("mlx.launch")
    if not launcher.is_file():
        raise StudyError(f"HOSTS={hosts} needs mlx.launch, which is not installed here; `make setup` installs it.")
    where, processes = (["-n", hosts], int(hosts)) if hosts.isdecimal() else (["--hosts", hosts], 1)
    # Processes on one machine share its cores, and a waiting BLAS thread spins.
    threads = f"OPENBLAS_NUM_THREADS={max(1, blas.threads() // processes)}"
    command = [str(launcher), *where, "--env", threads, "--", sys.executable, "-P", "-m", "ftstudy", *arguments]
    with open(os.devnull) as nothing:
        subprocess.run(command, stdin=nothing, check=False)
