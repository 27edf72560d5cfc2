"""Adapters already at `adapter_path`: real ones, trained on the tiny model, and damaged ones."""

import json
import os
import shutil
import sys

import mlx.core as mx
import pytest
import yaml
from conftest import example, tiny_settings
from ftstudy import training
from ftstudy.audit import adapters, contract_writer, run_inputs
from ftstudy.audit.findings import report
from ftstudy.chat_format import contract
from ftstudy.errors import StudyError
from ftstudy.models import base_models
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mlx_lm import lora, utils

ROWS = [example(user=f"Contact: hey {number}", reply=f"yo {number}") for number in range(8)]
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
IDS = {check.id for check in adapters.CHECKS}


def write(folder, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tiny_settings(folder, **{"learning_rate": 0.01, "save_every": 100} | changes)))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of successful runs, one for each type of fine-tuning."""
    made = {}
    for kind in ("lora", "dora", "full"):
        folder = made[kind] = tmp_path_factory.mktemp(kind)
        (folder / "data").mkdir()
        for name in ("train", "valid"):
            (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        training.train(training.read(write(folder, fine_tune_type=kind)), folder / "metrics.jsonl")
    return made


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a run in the test's own folder; its data stays where it is."""

    def run(kind="lora"):
        shutil.copytree(trained[kind] / "adapter", tmp_path / "adapter", dirs_exist_ok=True)
        return tmp_path / "adapter"

    run.config = lambda kind="lora", **changes: write(
        tmp_path, **({"data": str(trained[kind] / "data"), "fine_tune_type": kind} | changes)
    )
    run.check = lambda kind="lora", **changes: adapters.check(run_inputs.read(run.config(kind, **changes)))
    return run


def checks(findings):
    return {(item.check, item.severity) for item in findings}


def change_weights(folder, change, name=WEIGHTS):
    tensors = {key: mx.array(value) for key, value in mx.load(str(folder / name)).items()}
    times = os.stat(folder / name)
    mx.save_safetensors(str(folder / name), change(tensors))
    os.utime(folder / name, ns=(times.st_atime_ns, times.st_mtime_ns))


def change_config(folder, **changes):
    path = folder / CONFIG
    times = os.stat(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


# --- clean ----------------------------------------------------------------------------------


def test_untrained_run_is_clean(run):
    assert run.check() == []
    (run.config().parent / "adapter").mkdir()
    assert run.check() == []


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_adapter_of_the_same_config_is_clean_and_has_an_effect(run, kind):
    run(kind)
    assert run.check(kind) == []
    assert adapters.effect(run_inputs.read(run.config(kind))) > 1e-4


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_is_clean(run, dtype):
    change_weights(run(), lambda tensors: {name: value.astype(dtype) for name, value in tensors.items()})
    assert run.check() == []


def test_settings_without_effect_on_weights_may_differ(run):
    run()
    assert run.check(save_every=1, steps_per_eval=7, num_layers=-1) == []


def test_moved_repository_is_clean(run, trained, tmp_path):
    change_config(run(), model="/elsewhere/study/data/models/tiny", data="/elsewhere" + str(trained["lora"] / "data"))
    assert run.check() == []


def test_copied_folder_has_no_time_order(run):
    folder = run()
    os.utime(folder / WEIGHTS, (1000, 1000))
    os.utime(folder / CONFIG, (1004, 1004))
    assert run.check() == []


def test_valid_adapter_to_resume_from_is_clean_on_other_data(run, tmp_path):
    shutil.move(run(), tmp_path / "first")
    shutil.copy(tmp_path / "first" / WEIGHTS, tmp_path / "first" / "0000002_adapters.safetensors")
    for name in (WEIGHTS, "0000002_adapters.safetensors"):
        assert run.check(resume_adapter_file=str(tmp_path / "first" / name), iters=50) == []


# --- faults ---------------------------------------------------------------------------------


def without(part):
    return lambda tensors: {name: value for name, value in tensors.items() if part not in name}


def spoiled(value):
    def change(tensors):
        name = next(name for name in tensors if name.endswith("lora_a"))
        return tensors | {name: tensors[name] * value}

    return change


def no_b(tensors):
    return {name: value * (not name.endswith("lora_b")) for name, value in tensors.items()}


WEIGHT_FAULTS = {
    "empty": (lambda tensors: {}, {("adapter.missing_tensors", "error")}),
    "one_layer": (without("layers.0."), {("adapter.missing_tensors", "error")}),
    "nan": (spoiled(float("nan")), {("adapter.nan", "error")}),
    "infinity": (spoiled(float("inf")), {("adapter.nan", "error")}),
    "zero_b": (no_b, {("adapter.zero_b", "error")}),
    "other_names": (
        lambda tensors: {name.replace("layers", "blocks"): value for name, value in tensors.items()},
        {("adapter.missing_tensors", "error"), ("adapter.base_model", "error")},
    ),
    "other_width": (
        lambda tensors: {
            name: mx.ones((value.shape[0] * 2, value.shape[1])) if name.endswith("lora_a") else value
            for name, value in tensors.items()
        },
        {("adapter.base_model", "error")},
    ),
}


@pytest.mark.parametrize("change, expected", WEIGHT_FAULTS.values(), ids=WEIGHT_FAULTS)
def test_each_fault_in_weights_found_under_its_own_id(run, change, expected):
    change_weights(run(), change)
    assert checks(run.check()) == expected


CONFIG_FAULTS = {
    "other_model": ({"model": "someone/other"}, {("adapter.base_model", "error")}),
    "other_rank": (
        {"lora_parameters": {"rank": 4, "scale": 20.0, "dropout": 0.0}},
        {("adapter.config_newer", "error"), ("adapter.config_differs", "warning")},
    ),
    "fewer_layers": ({"num_layers": 1}, {("adapter.config_newer", "error"), ("adapter.config_differs", "warning")}),
    "other_scale": (
        {"lora_parameters": {"rank": 8, "scale": 1.0, "dropout": 0.0}},
        {("adapter.config_differs", "warning")},
    ),
    "other_data": ({"data": "data/another"}, {("adapter.config_differs", "warning")}),
    "other_mask": ({"mask_prompt": False}, {("adapter.config_differs", "warning")}),
}


@pytest.mark.parametrize("changes, expected", CONFIG_FAULTS.values(), ids=CONFIG_FAULTS)
def test_each_fault_in_adapter_config_found_under_its_own_id(run, changes, expected):
    change_config(run(), **changes)
    assert checks(run.check()) == expected


def test_adapter_of_other_settings_shows_both_values(run):
    run()
    (found,) = run.check(iters=500, lora_parameters={"rank": 8, "scale": 2.0, "dropout": 0.0})
    assert found.check == "adapter.config_differs"
    assert found.evidence == [
        "iters: 2 in the adapter, 500 in the config",
        "lora_parameters.scale: 20.0 in the adapter, 2.0 in the config",
    ]


def test_config_written_long_after_the_weights(run):
    folder = run()
    os.utime(folder / WEIGHTS, (1000, 1000))
    os.utime(folder / CONFIG, (5000, 5000))
    assert checks(run.check()) == {("adapter.config_newer", "warning")}
    os.utime(folder / CONFIG, (500, 500))
    assert run.check() == []


@pytest.mark.parametrize(
    "spoil, severity",
    [
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:500]), "error"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "error"),
        (lambda folder: (folder / CONFIG).write_text('{"num_layers": '), "error"),
        (lambda folder: (folder / CONFIG).write_text("[]"), "error"),
        (lambda folder: (folder / CONFIG).unlink(), "error"),
        (lambda folder: (folder / WEIGHTS).unlink(), "warning"),
    ],
)
def test_unreadable_files(run, spoil, severity):
    spoil(run())
    assert checks(run.check()) == {("adapter.unreadable", severity)}


@pytest.mark.parametrize(
    "made", [{}, {"num_layers": "x", "lora_parameters": [1], "model": 5, "fine_tune_type": [], "data": {"a": 1}}]
)
def test_odd_adapter_config_yields_findings(run, made):
    (run() / CONFIG).write_text(json.dumps(made))
    assert {check for check, _ in checks(run.check())} <= IDS


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rank", "scale", "dropout", "keys"]), inner, max_size=4)
    ),
)


@given(
    made=st.dictionaries(st.sampled_from([*sorted(adapters.settings.LEARNED), "model", "\ud800"]), JUNK, max_size=6),
    rank=st.integers(1, 3),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_junk_in_adapter_config_yields_findings(run, made, rank):
    folder = run()
    change_weights(folder, lambda tensors: {name: mx.zeros((rank, 64)) for name in tensors})
    (folder / CONFIG).write_text(json.dumps(made))
    found = run.check()
    assert {check for check, _ in checks(found)} <= IDS
    json.dumps(report(found), ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", ["dora", "full"])
def test_missing_tensors_found_for_every_type(run, kind):
    change_weights(run(kind), without("q_proj"))
    assert checks(run.check(kind)) == {("adapter.missing_tensors", "error")}


def test_full_adapter_equal_to_base_weights_is_untrained(run):
    folder = run("full")
    base = mx.load(str(base_models.resolve("tiny") / "model.safetensors"))
    change_weights(folder, lambda tensors: {name: base[name] for name in tensors})
    assert checks(run.check("full")) == {("adapter.zero_b", "error")}


def test_adapter_without_effect_found_unless_the_model_is_slow(run, monkeypatch):
    change_weights(run(), lambda tensors: {name: value * 1e-12 for name, value in tensors.items()})
    assert checks(run.check()) == {("adapter.no_effect", "error")}
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(mx.cpu))
    monkeypatch.setattr(adapters.weights, "QUICK", 1)
    assert run.check() == []


def test_adapter_whose_answers_overflow(run):
    change_weights(run(), lambda tensors: {name: value * 1e20 for name, value in tensors.items()})
    assert ("adapter.nan", "error") in checks(run.check())


def test_adapter_of_scale_zero_has_no_effect(run):
    change_config(run(), lora_parameters={"rank": 8, "scale": 0.0, "dropout": 0.0})
    assert ("adapter.no_effect", "error") in checks(run.check())


def test_template_changed_since_training(run, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(base_models.resolve("tiny"), model)
    folder, asked = run(), {"model": str(model)}
    change_config(folder, model=str(model))
    contract_writer.write(run_inputs.read(run.config(**asked)), [], folder)
    assert run.check(**asked) == []
    changed = json.loads((model / "tokenizer_config.json").read_text())
    changed["chat_template"] = changed["chat_template"].replace("<|im_start|>", "<|im_start|> ")
    (model / "tokenizer_config.json").write_text(json.dumps(changed))
    (found,) = run.check(**asked)
    assert (found.check, found.severity) == ("adapter.contract", "error")
    assert "template" in " ".join(found.evidence)
    for damaged in ("{", "[" * 100_000, '{"version": 1}'):
        (folder / contract.NAME).write_text(damaged)
        assert checks(run.check(**asked)) == {("adapter.contract", "warning")}


def test_adapter_to_resume_from_is_checked(run, tmp_path):
    folder = tmp_path / "first"
    shutil.move(run(), folder)
    change_weights(folder, spoiled(float("nan")))
    assert checks(run.check(resume_adapter_file=str(folder / WEIGHTS))) == {("adapter.nan", "error")}


def test_weights_checked_without_the_model(run, monkeypatch):
    monkeypatch.setattr(run_inputs.RunInputs, "model", None)
    change_weights(run(), no_b)
    assert checks(run.check()) == {("adapter.zero_b", "error")}


def test_effect_of_missing_adapter_raises(run):
    with pytest.raises(StudyError, match="isn't an adapter folder"):
        adapters.effect(run_inputs.read(run.config()))


# --- mlx-lm itself: what the checks rely on ----------------------------------------------------


def test_mlx_lm_loads_adapters_without_tensors_but_rejects_other_shapes(run):
    folder = run()
    change_weights(folder, lambda tensors: {})
    utils.load(str(base_models.resolve("tiny")), adapter_path=str(folder))
    with pytest.raises(StudyError, match="lacks 28 of 28 tensors"):  # ours says so
        base_models.load("tiny", folder)
    run()
    change_config(folder, lora_parameters={"rank": 4, "scale": 20.0, "dropout": 0.0})
    with pytest.raises(StudyError, match="shape"):
        base_models.load("tiny", folder)


def test_mlx_lm_loads_adapter_of_another_model_of_equal_shape(run):
    folder = run()
    change_config(folder, model="someone/other")
    base_models.load("tiny", folder)


def test_crashed_run_leaves_its_config_next_to_older_weights(run, monkeypatch):
    folder = run()
    before = mx.load(str(folder / WEIGHTS))
    path = run.config(
        model=str(base_models.resolve("tiny")), optimizer_config={"adam": {"no": 1}}, iters=1, lora_parameters={
            "rank": 4, "scale": 20.0, "dropout": 0.0
        },
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["mlx_lm.lora", "--config", str(path)])
    with pytest.raises(TypeError):
        lora.main()
    after = mx.load(str(folder / WEIGHTS))
    assert all(mx.array_equal(before[name], after[name]).item() for name in before)
    (found,) = adapters.check(run_inputs.read(path))
    assert (found.check, found.severity) == ("adapter.config_newer", "error")


def test_config_and_weights_of_two_runs(run):
    folder = run()
    made = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(made | {"ftstudy_run": "000000000000"}))
    assert ("adapter.two_runs", "error") in checks(run.check())
    (folder / "adapter_config.json").write_text(json.dumps({k: v for k, v in made.items() if k != "ftstudy_run"}))
    assert ("adapter.two_runs", "error") in checks(run.check())


def test_pissa_adapter_has_twice_the_rank_and_is_clean(run, tmp_path):
    lora = {"rank": 4, "scale": 1.0, "dropout": 0.0}
    config = run.config("lora", lora_parameters=lora, ftstudy={"method": "pissa"})
    training.train(training.read(config), tmp_path / "metrics.jsonl")
    found = adapters.check(run_inputs.read(config))
    assert [item for item in found if item.severity != "info"] == []
    other = run.config("lora", lora_parameters=lora | {"rank": 8}, ftstudy={"method": "pissa"})
    assert ("adapter.config_differs", "warning") in checks(adapters.check(run_inputs.read(other)))
