"""Faults of an adapter that a run left, or should have left: the family `adapter`."""

import json
import os

CHATML, GEMMA = "trained-chatml", "trained-gemma"


def tensors(change):
    """The weights file is what `change(weights)` makes of its tensors, as old as it was."""

    def spoil(study):
        import mlx.core as mx

        path = study.folder / "adapter" / "adapters.safetensors"
        weights = {name: mx.array(value) for name, value in mx.load(str(path)).items()}
        mx.eval(weights)
        mx.save_safetensors(str(path), change(weights))

    return spoil


def settings(**changes):
    """The adapter's config says something else, and was written when the weights were."""

    def spoil(study):
        path = study.folder / "adapter" / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
        written = (study.folder / "adapter" / "adapters.safetensors").stat().st_mtime
        os.utime(path, (written - 5, written - 5))

    return spoil


def config_written_later(seconds):
    def spoil(study):
        path = study.folder / "adapter" / "adapters.safetensors"
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)

    return spoil


def spoiled_file(name, change):
    def spoil(study):
        path = study.folder / "adapter" / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def of_two_runs(study):
    """Config and weights as the study's trainer saves them, but from different runs."""
    import mlx.core as mx

    path = study.folder / "adapter" / "adapters.safetensors"
    weights = dict(mx.load(str(path)))
    mx.eval(weights)
    mx.save_safetensors(str(path), weights, {"ftstudy_run": "111111111111"})
    settings(ftstudy_run="000000000000")(study)


def written(name, data):
    return lambda study: (study.folder / "adapter" / name).write_bytes(data)


def stopped_halfway(study):
    """As if mlx-lm had been stopped after its first checkpoint."""
    import shutil

    folder = study.folder / "adapter"
    shutil.copy(folder / "adapters.safetensors", folder / "0000001_adapters.safetensors")
    asked = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["iters"]
    assert asked > 1


def as_npz(study):
    import mlx.core as mx

    path = study.folder / "adapter" / "adapters.safetensors"
    mx.savez(str(path.with_name("adapters.npz")), **mx.load(str(path)))
    path.unlink()


def a_whole_model(study):
    """The folder of the base model, as mlx_lm.fuse would write one."""
    import shutil

    shutil.rmtree(study.folder / "adapter")
    shutil.copytree(study.folder / "model", study.folder / "adapter")


def config_of_peft(study):
    written = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    (study.folder / "adapter" / "adapter_config.json").write_text(json.dumps(written))


def names_of_peft(weights):
    """As PEFT names and shapes them, in mlx-lm's file."""
    return {f"base_model.model.{name[:-1]}{name[-1].upper()}.weight": value.T for name, value in weights.items()}


def checkpoints_only(study):
    path = study.folder / "adapter" / "adapters.safetensors"
    path.rename(path.with_name("0000010_adapters.safetensors"))


def scaled(factor):
    return lambda weights: {name: value * factor for name, value in weights.items()}


def without(part):
    return lambda weights: {name: value for name, value in weights.items() if part not in name}


def nan_in(part):
    return lambda weights: {name: value * (float("nan") if part in name else 1) for name, value in weights.items()}


def zeros_in(part):
    return lambda weights: {name: value * (0 if part in name else 1) for name, value in weights.items()}


def cases():
    error = "error"
    for study in (CHATML, GEMMA):
        for what, part in (("a layer's q_proj", "q_proj"), ("the MLP's tensors", "mlp"), ("every tensor", "")):
            yield f"{what} missing ({study})", study, tensors(without(part)), "adapter.missing_tensors", error
        yield f"NaN everywhere ({study})", study, tensors(nan_in("")), "adapter.nan", error
    yield "NaN in one tensor", CHATML, tensors(nan_in("v_proj.lora_a")), "adapter.nan", error
    yield "training stopped halfway", CHATML, stopped_halfway, "adapter.stopped", "warning"
    yield "weights as npz", GEMMA, as_npz, "adapter.format", error
    yield "a whole model instead of an adapter", CHATML, a_whole_model, "adapter.format", error
    yield "PEFT's config next to mlx-lm's weights", CHATML, config_of_peft, "adapter.format", error
    yield "tensors as PEFT names them", CHATML, tensors(names_of_peft), "adapter.format", error
    turned = tensors(lambda weights: {name: value.T for name, value in weights.items()})
    yield "tensors transposed as PEFT's are", GEMMA, turned, "adapter.format", error
    pointer = written("adapters.safetensors", b"version https://git-lfs.github.com/spec/v1\n")
    yield "a pointer of Git LFS", CHATML, pointer, "adapter.unreadable", error
    yield "numbered checkpoints only", CHATML, checkpoints_only, "adapter.unreadable", "warning"
    no_module = {"rank": 8, "scale": 20.0, "dropout": 0.0, "keys": ["auto"]}
    also = ("adapter.config_differs",)
    yield "keys that name no module", GEMMA, settings(lora_parameters=no_module), "adapter.keys", error, also
    yield "weights of 1e-12", GEMMA, tensors(scaled(1e-12)), "adapter.no_effect", error
    yield "the config of another run", CHATML, of_two_runs, "adapter.two_runs", error
    damaged = written("prompt_contract.json", b"{")
    yield "prompt_contract.json damaged", CHATML, damaged, "adapter.contract", "warning"
    yield "every lora_b zero", CHATML, tensors(zeros_in("lora_b")), "adapter.zero_b", error
    spoil = settings(model="mlx-community/Qwen3-0.6B-4bit")
    yield "another base model", CHATML, spoil, "adapter.base_model", error, ("adapter.config_differs",)
    spoil = settings(model="/models/gemma-7b")
    yield "another base model's folder", GEMMA, spoil, "adapter.base_model", error, ("adapter.config_differs",)
    for name, change in (
        ("adapters.safetensors", lambda data: data[: len(data) // 2]),
        ("adapter_config.json", lambda data: data[:40]),
    ):
        yield f"{name} cut off", CHATML, spoiled_file(name, change), "adapter.unreadable", error
    spoil = spoiled_file("adapters.safetensors", lambda _: b"")
    yield "adapters.safetensors of 0 bytes", GEMMA, spoil, "adapter.unreadable", error
    yield "config a day newer than the weights", CHATML, config_written_later(86_400), "adapter.config_newer", "warning"
    yield "config an hour newer than the weights", GEMMA, config_written_later(3_600), "adapter.config_newer", "warning"
    yield "trained on other data", CHATML, settings(data="data/raw_style"), "adapter.config_differs", "warning"
    spoil = settings(learning_rate=1e-5, mask_prompt=False)
    yield "trained at another rate, unmasked", GEMMA, spoil, "adapter.config_differs", "warning"
