"""What `make` asks of the Python that it is about to use, and does to it.

    python lib/environment.py lacks requirements.lock    say in one line what keeps it from being used, or nothing
    python lib/environment.py link                       make lib/ importable from it

Any Python 3 may be asked, so the syntax here is old."""

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
        return "it was not made from environment.yml"
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
        return "it lacks %d of the packages in %s, %s among them" % (len(wrong), lock, wrong[0])
    return ""


def link():
    site = sysconfig.get_path("purelib")
    lib = os.path.dirname(os.path.abspath(__file__))
    if site.startswith(os.path.dirname(lib) + os.sep):  # .venv: relative, so that the folder can be moved
        lib = os.path.relpath(lib, site)
    with open(os.path.join(site, "ftstudy.pth"), "w") as file:
        file.write(lib + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "link":
        link()
    else:
        print(lacks(sys.argv[2]))
