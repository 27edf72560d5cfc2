"""How far something is, and how long it still takes: honest on what was measured, and said where it takes long."""

import json
import sys
import time

import pytest
from ftstudy import progress
from ftstudy.compare import arms
from ftstudy.stages import training_progress

# A comparison of the demo on two cores: (model, format, seconds to score, seconds to write replies, if it does).
DEMO = [
    ("base", "aligned", 40.2, 189.2),
    ("base", "system", 25.6, None),
    ("base", "user", 34.3, None),
    ("base", "historical", 25.6, None),
    ("base", "aligned, 4 examples", 41.2, None),
    ("base", "aligned, 4 similar examples", 321.4, None),
    ("tuned", "aligned", 57.6, 133.4),
    ("tuned", "system", 9.5, None),
    ("tuned", "user", 10.8, None),
    ("tuned", "historical", 18.6, 54.9),
]


def estimates():
    """(estimate, what it really took) after each arm of the demo's comparison."""
    models = {
        name: {"name": name, "writes": [one for whose, one, _, writing in DEMO if whose == name and writing]}
        for name in ("base", "tuned")
    }
    costs = {}
    for at, (model, name, scoring, writing) in enumerate(DEMO[:-1], 1):
        costs[f"scoring {model}, {name}"] = {"seconds": scoring}
        if writing:
            costs[f"writing {model}, {name}"] = {"seconds": writing}
        to_come = [(models[whose], {"name": one}) for whose, one, *_ in DEMO[at:]]
        yield arms._left(costs, to_come), sum(one[2] + (one[3] or 0) for one in DEMO[at:])


def test_the_time_left_of_a_comparison_counts_the_arms_that_write():
    """After the first arm, which writes, the same pace for all would say 34 minutes where 12 are left."""
    found = list(estimates())
    first, real = found[0]
    assert first == pytest.approx(real, rel=0.1)
    assert all(real / 3 < estimate < 3 * real or abs(estimate - real) < 200 for estimate, real in found)


def test_one_step_that_takes_long_does_not_spoil_the_estimate():
    assert progress.seconds_left({"scoring": [10, 10, 10, 400]}, {"scoring": 3}) == 30


def test_what_was_never_measured_is_not_guessed():
    assert progress.seconds_left({"scoring": [10]}, {"scoring": 1, "writing": 1}) is None
    assert progress.seconds_left({"scoring": [10], "writing": []}, {"scoring": 2, "writing": 0}) == 20
    assert progress.remaining(3, 9, None) == "3 of 9 done"


def test_times_are_said_as_people_say_them():
    assert [progress.span(seconds) for seconds in (0.4, 45, 91, 3 * 60, 80 * 60)] == [
        *("0 s", "45 s", "2 min", "3 min", "1 h 20 min"),
    ]
    assert progress.remaining(3, 9, 240) == "3 of 9 done, about 4 min left"
    assert progress.remaining(9, 9, 0) == "9 of 9 done"


def test_what_takes_long_says_so_in_a_log_now_and_then(capsys):
    with progress.ticking(lambda seconds: f"still there\x1b[2J {seconds:.3f}", every=0.05):
        time.sleep(0.3)
    lines = capsys.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 6 and all(line.startswith("  still there\\u001b[2J 0.") for line in lines)


def test_what_is_quick_says_nothing(capsys):
    with progress.ticking(lambda seconds: "slow", every=60):
        pass
    assert capsys.readouterr().out == ""


def test_importing_the_kernels_package_is_not_running_in_a_notebook(monkeypatch):
    import ipykernel.kernelapp  # noqa: F401

    assert "ipykernel" in sys.modules and not progress.in_notebook()


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_training_says_its_iteration_its_loss_and_the_time_left(tmp_path):
    path = tmp_path / "mine.metrics.jsonl"
    describe = training_progress.of(path, 100)
    assert describe(5) == "03_train: 5 s"
    write_rows(path, {"iteration": 0, "validation_loss": 5.0})
    assert describe(10) == "03_train: iteration 0 of 100, validation loss 5.000"
    write_rows(path, {"iteration": 0, "validation_loss": 5.0}, {"iteration": 25, "train_loss": 4.0})
    assert describe(60) == "03_train: iteration 25 of 100, validation loss 5.000, about 2 min left"  # 2 s an iteration
    assert describe(100) == "03_train: iteration 25 of 100, validation loss 5.000, about 2 min left"
    assert describe(150).endswith("about 60 s left")
    path.write_text(path.read_text() + '{"iteration": 50, "trai')  # half written
    assert "iteration 25" in describe(151)


def test_the_file_of_an_earlier_training_says_nothing(tmp_path):
    import os

    path = tmp_path / "mine.metrics.jsonl"
    write_rows(path, {"iteration": 100, "validation_loss": 1.0})
    os.utime(path, (1, 1))
    assert training_progress.of(path, 100)(3) == "03_train: 3 s"


def test_a_log_gets_no_line_twice(capsys):
    said = iter(["a", "a", "b", "b", "b"])
    with progress.ticking(lambda seconds: next(said, "b"), every=0.01):
        time.sleep(0.3)
    assert capsys.readouterr().out.split() == ["a", "b"]
