"""Every injected fault is reported under its own check, and nothing is said about clean runs."""

import pytest

from .matrix import CASES, judge, told
from .studies import PLANS, TEXTS, build


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_reported_under_its_own_check_and_brings_no_others(case, tmp_path):
    study = build(case.study, tmp_path)
    before = contents(tmp_path)
    case.spoil(study)
    assert contents(tmp_path) != before  # else there is nothing to find
    report = study.audit()
    found, others = judge(case, report)
    assert found, f"{case.check} ({case.severity}) is not among:\n{told(report)}"
    assert not others, "not explained by the fault:\n" + "\n".join(others)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", PLANS)
def test_a_clean_run_has_no_finding_above_info(name, seed, tmp_path):
    report = build(name, tmp_path, seed).audit()
    assert report["summary"]["error"] == report["summary"]["warning"] == 0, told(report)


@pytest.mark.parametrize("train_on", ["last", "all"])
@pytest.mark.parametrize("name", [name for name, plan in PLANS.items() if plan.rows not in TEXTS])
def test_a_clean_run_of_the_studys_own_trainer_has_none_either(name, train_on, tmp_path):
    study = build(name, tmp_path)
    study.configure(ftstudy={"train_on": train_on, "early_stopping": 3})
    report = study.audit()
    assert report["summary"]["error"] == report["summary"]["warning"] == 0, told(report)


def test_the_matrix_is_as_broad_as_it_claims():
    assert len(CASES) >= 60 and len(PLANS) >= 12
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.study for case in CASES} <= set(PLANS)
