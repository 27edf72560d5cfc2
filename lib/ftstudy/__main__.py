import sys

# `python -m` puts the current folder first, which may be a stranger's project with a numpy.py. `python -P -m` does not.
if not sys.flags.safe_path:
    del sys.path[0]

from .cli import main

main()
