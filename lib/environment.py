"""Called by `make` and lib/setup.sh with the Python they are about to use.

    python lib/environment.py lacks requirements.lock    print in one line why it cannot be used, or nothing
    python lib/environment.py link                       make `import ftstudy` and the command `ftstudy` work

Any Python 3 may run this, so the syntax is old."""

import os
import sys
import sysconfig


def lacks(lock):
    if sys.version_info < (3, 12):
        return "its Python is %d.%d, older than 3.12" % sys.version_info[:2]
    from importlib.metadata import PackageNotFoundError, version

    try:
        from packaging.requirements import Requirement
    except ImportError:
        return "it was not created from environment.yml"
    wrong = []
    with open(lock, encoding="utf-8") as file:
        for line in file:
            if not line[0].isalnum():
                continue
            need = Requirement(line.rstrip(" \\\n"))
            if need.marker and not need.marker.evaluate():
                continue
            try:
                fits = need.specifier.contains(version(need.name), prereleases=True)
            except PackageNotFoundError:
                fits = False
            if not fits:
                wrong.append(need.name + str(need.specifier))
    if wrong:
        return "it lacks %d packages of %s, such as %s" % (len(wrong), lock, wrong[0])
    return ""


def link():
    site = sysconfig.get_path("purelib")
    lib = os.path.dirname(os.path.abspath(__file__))
    if site.startswith(os.path.dirname(lib) + os.sep):  # .venv: relative, so that the repository can be moved
        lib = os.path.relpath(lib, site)
    with open(os.path.join(site, "ftstudy.pth"), "w") as file:
        file.write(lib + "\n")
    command = os.path.join(sysconfig.get_path("scripts"), "ftstudy")
    with open(command, "w") as file:  # -P: the folder it is called in may be a stranger's project with a numpy.py
        file.write('#!/bin/sh\nexec "$(dirname "$0")/python" -P -m ftstudy "$@"\n')
    os.chmod(command, 0o755)


if __name__ == "__main__":
    if sys.argv[1] == "link":
        link()
    else:
        print(lacks(sys.argv[2]))
