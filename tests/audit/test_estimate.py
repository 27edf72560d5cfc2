"""What a training will take, estimated before it starts, against what real trainings took."""

import mlx.core as mx
import numpy
import pytest
import yaml
from faults import studies
from ftstudy import audit, training
from ftstudy.audit import estimate
from ftstudy.audit.config import memory
from ftstudy.audit.estimate import ModelSize, measure
from ftstudy.engine import machine
from hypothesis import given
from hypothesis import strategies as some
from mlx_lm.lora import CONFIG_DEFAULTS

WITHIN = 2.0  # the factor by which an estimate of memory may be off on a tiny model


@pytest.fixture
def study(tmp_path):
    built = studies.build("texter-chatml", tmp_path)
    built.configure(iters=4, batch_size=8, ftstudy={"train_on": "last"})
    return built


def run_inputs(study):
    return audit.read(study.folder / "config.yaml")


def total(inputs) -> int:
    size, train, _, config = estimate.of(inputs)
    return sum(estimate.memory(size, train, config).values())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 4},
        {"batch_size": 32},
        {"grad_checkpoint": True},
        {"fine_tune_type": "full", "learning_rate": 1e-5},
        {"ftstudy": None},
    ],
    ids=str,
)
def test_the_estimated_peak_is_near_that_of_a_real_training(study, changes):
    study.configure(**changes)
    inputs = run_inputs(study)
    estimated, before = total(inputs), mx.get_active_memory()
    mx.reset_peak_memory()
    training.train(training.read(study.folder / "config.yaml"), study.folder / "a.metrics.jsonl")
    measured = mx.get_peak_memory() - before
    assert measured / WITHIN < estimated < measured * WITHIN


def test_a_run_that_fits_has_no_finding_and_one_that_does_not_is_told_what_to_set(study):
    inputs = run_inputs(study)
    needed = total(inputs)
    assert not [*memory.exceeding(inputs, needed)]
    (found,) = memory.exceeding(inputs, needed - 1)
    assert (found.check, found.severity) == ("config.memory", "warning")
    assert "`batch_size: 4`" in found.fix


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3, 0.15])
def test_the_settings_that_the_fix_names_fit(study, share):
    study.configure(lora_parameters={"rank": 64, "scale": 20.0, "dropout": 0.0})
    inputs = run_inputs(study)
    size, train, _, config = estimate.of(inputs)
    room = int(total(inputs) * share)
    lower = memory.fitting(inputs, train, config, len(size.layers), room)
    assert lower
    rank = {"lora_parameters": config["lora_parameters"] | {"rank": lower.pop("rank")}} if "rank" in lower else {}
    study.configure(**lower, **rank)
    assert total(run_inputs(study)) <= room


def test_a_machine_smaller_than_the_model_itself_needs_another_model(study):
    (found,) = memory.exceeding(run_inputs(study), 1000)
    assert "smaller or a quantized model" in found.fix


LAYER = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 168), (64, 168), (168, 64)]
CONFIG = CONFIG_DEFAULTS | {"max_seq_length": 4096, "optimizer": "adam"}


def made_up(layers=4, adapted=2):
    return ModelSize(4_000_000, 4, mx.float32, 64, 4, 1024, [LAYER] * layers, 10_000 * adapted, adapted)


@given(
    rows=some.lists(some.integers(2, 3000), min_size=1, max_size=20),
    longer=some.integers(0, 500),
    batch=some.integers(1, 8),
    adapted=some.integers(1, 3),
    checkpoint=some.booleans(),
    own=some.booleans(),
)
def test_more_rows_in_a_batch_longer_rows_or_more_layers_never_take_less(rows, longer, batch, adapted, checkpoint, own):
    lengths = numpy.array(rows)
    block = {"ftstudy": {}} if own else {}
    config = CONFIG | {"batch_size": batch, "grad_checkpoint": checkpoint} | block
    train, valid = estimate.Rows(lengths, lengths // 2), estimate.Rows(lengths, lengths // 2)

    def needs(size, train, config):
        return sum(estimate.memory(size, train, config).values())

    once = needs(made_up(adapted=adapted), train, config)
    assert needs(made_up(adapted=adapted), train, config | {"batch_size": batch + 1}) >= once
    assert needs(made_up(adapted=adapted), estimate.Rows(lengths + longer, lengths // 2), config) >= once
    assert needs(made_up(adapted=adapted + 1), train, config) > once
    assert needs(made_up(adapted=adapted), train, config | {"max_seq_length": 1000}) <= once
    assert needs(made_up(adapted=adapted), train, config | {"grad_checkpoint": True}) <= once
    work = estimate.operations(made_up(adapted=adapted), train, valid, config)
    assert estimate.operations(made_up(adapted=adapted), train, valid, config | {"iters": 2000}) > work
    assert estimate.operations(made_up(5, adapted), train, valid, config) > work


def test_stock_mlx_lm_computes_all_logits_and_the_studys_trainer_only_those_of_replies(study):
    size, train, _, config = estimate.of(run_inputs(study))
    own = estimate.memory(size, train, config)
    stock = estimate.memory(size, train, config | {"ftstudy": None})
    assert own["logits"] < stock["logits"] and own["weights"] == stock["weights"]


def test_a_models_size_is_counted_without_reading_its_weights(study):
    before = mx.get_active_memory()
    size = measure(study.folder / "model", audit.read(study.folder / "config.yaml").config)
    assert mx.get_active_memory() - before < size.weights
    files = sum(path.stat().st_size for path in (study.folder / "model").glob("*.safetensors"))
    assert 0.9 * files < size.weights <= files


def test_the_machine_has_memory_and_a_speed():
    assert machine.memory() > 1e8
    assert machine.speed(64, 64, 64) > 1e6


def test_an_audit_in_the_terminal_says_what_training_takes_and_its_results_do_not(study, capsys):
    from ftstudy import cli

    out = study.folder / "found.json"
    with pytest.raises(SystemExit, match="0"):
        cli.main(["audit", "--config", str(study.folder / "config.yaml"), "--json", str(out)])
    assert "Training would take about" in capsys.readouterr().out
    assert "would take" not in out.read_text()


def test_what_is_not_known_is_not_estimated(study):
    config = yaml.safe_load((study.folder / "config.yaml").read_text())
    study.configure(model=config["model"] + "-missing")
    assert estimate.of(run_inputs(study)) is None
    assert estimate.in_words(run_inputs(study)) == ""
