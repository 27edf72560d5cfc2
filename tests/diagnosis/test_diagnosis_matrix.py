"""Staged fine-tunes with one known main cause each: the diagnosis names it first, and nothing for healthy ones."""

import pytest
from ftstudy import diagnosis
from staged_finetunes import FAULTS, diagnose, stage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


HEALTHY = [name for name, fault in FAULTS.items() if fault["cause"] is None]


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in HEALTHY])
def test_the_staged_cause_is_named_first(name, trained, tmp_path):
    found = diagnose(stage(name, tmp_path / "project", trained))
    assert [one["id"] for one in diagnosis.worst(found)][:1] == [FAULTS[name]["cause"]]


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_a_healthy_fine_tune(name, trained, tmp_path):
    found = diagnose(stage(name, tmp_path / "project", trained))
    assert diagnosis.worst(found) == []
    assert found["verdict"]["usable"] is True
