"""The same training on several machines, or several processes of this one, by mlx's own launcher."""

import os
import subprocess
import sys
from pathlib import Path

from ..engine import blas
from ..errors import StudyError


def launch(hosts: str, arguments: list[str]) -> None:
    """Run `ftstudy ARGUMENTS` on every host at once, data-parallel, by `mlx.launch`.

    `hosts`: addresses with commas between, this machine's own first, for it gets the results; or a
    number, of processes on this machine. Every machine needs the same folders and this environment,
    and lets this one in by ssh. Each step's batch is divided among them. The launcher does not say
    whether it went well: look for the result. Raises StudyError where there is no launcher.
    """
    launcher = Path(sys.executable).with_name("mlx.launch")
    if not launcher.is_file():
        raise StudyError(f"HOSTS={hosts} needs mlx.launch, which this environment lacks; `make setup` installs it.")
    where, beside = (["-n", hosts], int(hosts)) if hosts.isdecimal() else (["--hosts", hosts], 1)
    # Processes on one machine share its cores: BLAS threads that wait for another's core spin.
    threads = f"OPENBLAS_NUM_THREADS={max(1, blas.threads() // beside)}"
    command = [str(launcher), *where, "--env", threads, "--", sys.executable, "-m", "ftstudy", *arguments]
    with open(os.devnull) as nothing:
        subprocess.run(command, stdin=nothing, check=False)
