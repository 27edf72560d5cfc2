"""A fused model: how much of the adapter's update is in its weights, and what fusing cost."""

import json
import shutil

import mlx.core as mx
import numpy as np
import pytest
from conftest import refused
from ftstudy import cli
from ftstudy.audit import fused_model, run_inputs
from ftstudy.audit.fused_model import weights
from ftstudy.compare import arms, results
from ftstudy.models import base_models
from ftstudy.report import conclusions
from fusing import fuse, quantize
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model
from templates import tokenizer_folder

SCALE = 20.0


@pytest.fixture
def made(tmp_path):
    """Makes a base model, an adapter with random tensors and the fused model; returns their folders."""

    def make(*options, bits=0, kind="lora", keys=None, dtype=mx.float32):
        base, adapter = tokenizer_folder("chatml", tmp_path / "base", width=64, layers=3), tmp_path / "adapter"
        tensors = {name: value.astype(dtype) for name, value in mx.load(str(base / "model.safetensors")).items()}
        mx.eval(tensors)
        mx.save_safetensors(str(base / "model.safetensors"), tensors, {"format": "mlx"})
        if bits:
            quantize(base, bits)
        model, settings = load_model(base)[0], {"rank": 4, "scale": SCALE, "dropout": 0.0}
        model.freeze()
        mx.random.seed(0)
        noise = lambda value: 0.01 * mx.random.normal(value.shape)  # noqa: E731
        if kind == "full":
            model.layers[-1].unfreeze()
            tensors = {name: value + noise(value) for name, value in tree_flatten(model.trainable_parameters())}
        else:
            linear_to_lora_layers(model, 1, settings | ({"keys": keys} if keys else {}), use_dora=kind == "dora")
            found = tree_flatten(model.trainable_parameters())
            tensors = {name: value + noise(value) if name.endswith(".m") else noise(value) for name, value in found}
        adapter.mkdir()
        mx.save_safetensors(str(adapter / "adapters.safetensors"), tensors)
        config = {"fine_tune_type": kind, "num_layers": 1, "model": str(base)}
        config |= {} if kind == "full" else {"lora_parameters": settings | ({"keys": keys} if keys else {})}
        (adapter / "adapter_config.json").write_text(json.dumps(config))
        return base, adapter, fuse(base, adapter, tmp_path / "fused", *options)

    return make


def found(folder, fused, **changes):
    """The findings on a fused model, by check, with base model and adapter in the same folder."""
    config = {"model": str(folder / "base"), "adapter_path": str(folder / "adapter"), "data": str(folder)} | changes
    (folder / "config.json").write_text(json.dumps(config))
    return {one.check: one for one in fused_model.findings(run_inputs.read(folder / "config.json"), fused)}


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_whole_update_is_in_a_model_fused_in_single_precision(made, kind, tmp_path):
    base, adapter, fused = made(kind=kind)
    modules = weights.compare(base, adapter, fused)
    assert len(modules) == 7 and all(".layers.2." in one["module"] for one in modules)
    for one in [*modules, weights.total(modules)]:
        assert one["share"] == pytest.approx(1, abs=1e-2) and one["residual"] < 1e-2
    assert max(one["off"] for one in modules) < 1e-3
    only = found(tmp_path, fused)
    assert list(only) == ["fused.update"]
    assert (only["fused.update"].severity, only["fused.update"].title[:4]) == ("info", "100%")


@pytest.mark.parametrize("kind, dtype", [("lora", mx.float32), ("lora", mx.bfloat16), ("dora", mx.float32)])
def test_fewer_bits_lose_more_and_dequantizing_loses_nothing(made, kind, dtype, tmp_path):
    shares = {}
    for bits in (4, 8):
        base, adapter, fused = made(bits=bits, kind=kind, dtype=dtype)
        modules = weights.compare(base, adapter, fused)
        assert max(one["off"] for one in modules) < 0.2  # mlx-lm rounds as it is replayed here
        shares[bits] = weights.total(modules)["share"]
        fuse(base, adapter, tmp_path / "dequantized", "--dequantize")
        whole = weights.total(weights.compare(base, adapter, tmp_path / "dequantized"))
        assert whole["share"] == pytest.approx(1, abs=1e-2)
        assert whole["residual"] < (1e-2 if dtype == mx.float32 else 0.2)  # bfloat16 keeps three digits
        for name in ("base", "adapter", "fused", "dequantized"):
            shutil.rmtree(tmp_path / name)
    assert shares[4] < 0.9 < shares[8]


def test_quantizing_the_dequantized_model_to_8_bits_keeps_the_update(made, tmp_path):
    _, _, fused = made("--dequantize", bits=4)
    only = found(tmp_path, quantize(fused, 8))
    assert list(only) == ["fused.update"] and only["fused.update"].severity == "info"


def test_lost_update_is_reported_with_its_fix(made, tmp_path):
    _, _, fused = made(bits=4)
    one = found(tmp_path, fused)["fused.update"]
    assert one.severity == "warning" and "survived" in one.title and one.evidence[0].startswith("all modules: ")
    assert "in 4 bits" in one.cause and "--dequantize" in one.fix and "--q-bits 8" in one.fix


def test_tied_embeddings_are_compared_too(made):
    base, adapter, fused = made(bits=8, keys=["model.embed_tokens", "self_attn.q_proj"])
    assert json.loads((base / "config.json").read_text())["tie_word_embeddings"]
    shares = {one["module"]: one["share"] for one in weights.compare(base, adapter, fused)}
    assert set(shares) == {"model.embed_tokens", "model.layers.2.self_attn.q_proj"}
    assert min(shares.values()) > 0.9


def test_rounding_to_half_precision_is_no_other_adapter(made, tmp_path):
    base, adapter, fused = made(dtype=mx.bfloat16)
    tensors = dict(mx.load(str(adapter / "adapters.safetensors")))
    mx.eval(tensors)
    # So small that bfloat16 keeps a part of it only.
    tensors = {name: value * (0.01 if name.endswith("lora_b") else 1) for name, value in tensors.items()}
    mx.save_safetensors(str(adapter / "adapters.safetensors"), tensors)
    only = found(tmp_path, fuse(base, adapter, fused))
    assert list(only) == ["fused.update"] and "in bfloat16" in only["fused.update"].cause
    assert only["fused.update"].severity != "info" and "--dequantize" not in only["fused.update"].fix


@pytest.mark.parametrize("bits", [0, 4, 8])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scale_at_which_an_adapter_was_fused_is_found(made, bits, factor, tmp_path):
    _, adapter, fused = made(bits=bits)
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    config["lora_parameters"]["scale"] = SCALE / factor
    path.write_text(json.dumps(config))
    only = found(tmp_path, fused)
    assert list(only) == ["fused.other_scale"]
    assert f"scale 20 instead of {SCALE / factor:g}" in only["fused.other_scale"].title


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_update_of_another_adapter_is_told_from_a_lost_one(made, bits, tmp_path):
    _, adapter, fused = made(bits=bits)
    mx.random.seed(1)
    tensors = {
        name: 0.01 * mx.random.normal(one.shape) for name, one in mx.load(str(adapter / "adapters.safetensors")).items()
    }
    mx.save_safetensors(str(adapter / "adapters.safetensors"), tensors)
    assert list(found(tmp_path, fused)) == ["fused.other_adapter"]


def test_model_fused_at_4_bits_is_compared_with_a_base_in_single_precision_too(made, tmp_path):
    base, adapter, _ = made()
    shutil.copytree(base, tmp_path / "small")
    fused = fuse(quantize(tmp_path / "small", 4), adapter, tmp_path / "fused")
    only = found(tmp_path, fused)
    assert list(only) == ["fused.update"] and only["fused.update"].severity == "warning"


def test_adapter_in_the_format_of_peft_is_compared_as_it_is(made, tmp_path):
    _, adapter, fused = made(bits=8)
    tensors = dict(mx.load(str(adapter / "adapters.safetensors")))
    mx.eval(tensors)
    shutil.rmtree(adapter)
    adapter.mkdir()
    renamed = {
        f"base_model.model.{name[:-1]}{name[-1].upper()}.weight": mx.contiguous(value.T)
        for name, value in tensors.items()
    }
    mx.save_safetensors(str(adapter / "adapter_model.safetensors"), renamed)
    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 4 * SCALE,
        "target_modules": projections,
        "layers_to_transform": [2],
    }
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    only = found(tmp_path, fused)
    assert list(only) == ["fused.update"] and only["fused.update"].severity == "info", only


def test_without_an_adapter_only_the_base_model_is_recognised(made, tmp_path):
    base, _, fused = made()
    nowhere = {"adapter_path": str(tmp_path / "nowhere")}
    one = found(tmp_path, fused, **nowhere)
    assert list(one) == ["fused.update"] and "no adapter can be read" in one["fused.update"].title
    assert list(found(tmp_path, base, **nowhere)) == ["fused.is_base"]


def test_broken_adapter_or_missing_base_is_a_warning_not_the_fused_models_fault(made, tmp_path):
    base, adapter, fused = made()
    (adapter / "adapters.safetensors").write_bytes(b"{")
    one = found(tmp_path, fused)["fused.unreadable"]
    assert one.severity == "warning" and "cannot be compared" in one.title
    shutil.rmtree(base)
    assert found(tmp_path, fused)["fused.unreadable"].severity == "warning"


def test_missing_folder_is_refused(made, tmp_path):
    made()
    refused(lambda: found(tmp_path, tmp_path / "typo"), "no fused model", "typo", "mlx_lm.fuse")
    assert found(tmp_path, "") == {}


def test_command_line_says_how_much_survived(made, tmp_path, capsys):
    _, _, fused = made(bits=4)
    found(tmp_path, fused)
    for folder, said in (
        (fused, "of the adapter's update survived in"),
        (tmp_path / "typo", "There is no fused model at"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["audit", "--config", str(tmp_path / "config.json"), "--fused", str(folder)])
        assert ended.value.code == (1 if folder == fused else 2)  # there is no data either
        assert said in "".join(capsys.readouterr())


def test_fused_model_is_loaded_without_its_adapter(made, tmp_path):
    base, adapter, fused = made()
    ids = mx.array([[5, 6, 7]])
    tuned, alone = base_models.load(base, adapter)[0], base_models.load(fused)[0]
    assert np.allclose(tuned(ids), alone(ids), atol=1e-4)


# --- what fusing cost -------------------------------------------------------------------------

NAMES = [f"chat {at // 2}" for at in range(40)]


def scores(nats):
    each = np.broadcast_to(np.asarray(nats, float), 40)
    return {"reply": each * 4, "tokens": np.full(40, 4), "end": np.full(40, 0.5)}


def fusing(base, tuned, fused):
    found = {
        ("base", "aligned"): scores(base),
        ("tuned", "aligned"): scores(tuned),
        ("fused", "aligned"): scores(fused),
    }
    models = [{"name": name, "base": base} for name, base in (("base", None), ("tuned", "base"), ("fused", "base"))]
    heldout = {"conversations": NAMES, "leaked": [False] * 40}
    differences = results.differences(found, models, [{"name": "aligned"}], heldout)
    return results.fusing(differences, found, "mine", NAMES)


NOISE = np.random.default_rng(0).normal(0, 0.1, 40)


def test_share_of_the_gain_that_fusing_lost():
    found = fusing(5.0 + NOISE, 4.0, 4.43 + NOISE / 2)
    assert list(found) == ["aligned"]  # the app's prompt was not measured
    one = found["aligned"]
    assert one["lost"] == pytest.approx(0.43, abs=0.02) and one["verdict"] == "worse"
    assert one["interval"][0] < one["lost"] < one["interval"][1] < 0.55
    said = conclusions.fusing(found)
    assert said.startswith(f"Fusing lost {one['lost']:.0%} of what training gained (95% interval ")
    assert said.endswith(f": 4.000 → {one['fused']:.3f} nats per reply token, prompted as in training.")


def test_lossless_fusing_is_said_to_have_lost_nothing():
    found = fusing(5.0 + NOISE, 4.0, 4.0 + NOISE / 100)
    assert conclusions.fusing(found).startswith("Fusing lost nothing that can be distinguished: 4.000 → 4.00")


def test_tiny_loss_is_less_than_1_percent():
    said = conclusions.fusing(fusing(5.0 + NOISE, 4.0, 4.0 + 1e-4 * (1 + NOISE)))
    assert said.startswith("Fusing lost less than 1% of what training gained: 4.000 → 4.000")


@pytest.mark.parametrize("tuned", [5.0, 6.0])
def test_without_a_gain_nothing_is_said(tuned):
    assert fusing(5.0 + NOISE, tuned, 5.0) == {} and conclusions.fusing({}) == ""


def test_fused_model_is_compared_with_base_and_tuned():
    entry = {"name": "mine", "model": "m", "adapter": "a"}
    formats = [{"name": name} for name in ("aligned", "user", "app")]
    made = arms.models([entry], formats, "app", "wrapped", fused="f")
    assert [one["name"] for one in made] == ["base", "tuned", "fused"]
    fused = made[-1]
    assert (fused["model"], fused["adapter"], fused["formats"]) == ("f", None, ["aligned", "app"])
    measured = {(one["name"], name): scores(4.0) for one in made for name in (one["formats"] or ["aligned", "app"])}
    rows = results.differences(measured, made, formats, {"conversations": NAMES, "leaked": [False] * 40})
    pairs = {(*row["left"], *row["right"]) for row in rows}
    for name in ("aligned", "app"):
        assert {("fused", name, "tuned", name), ("fused", name, "base", name)} <= pairs
    assert results.scaling(measured, made, "app", {"examples": [], "conversations": []}) == []
