"""Faults of a fused model: the family `fused`."""

import json
import shutil

from fusing import quantize

from .adapter_faults import settings, tensors

FLOAT, EIGHT = "fused-chatml", "fused-chatml-8bit"


def model_tensors(folder, change):
    """A model's weights are what `change(weights)` makes of them."""

    def spoil(study):
        import mlx.core as mx

        path = study.folder / folder / "model.safetensors"
        weights = {name: mx.array(value) for name, value in mx.load(str(path)).items()}
        mx.eval(weights)
        mx.save_safetensors(str(path), change(weights), {"format": "mlx"})

    return spoil


def fused_file(name, change):
    """The fused model's file is what `change(its content)` makes of it."""

    def spoil(study):
        path = study.folder / "fused" / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def fused_config(*without, **changes):
    def change(data):
        config = json.loads(data) | changes
        return json.dumps({key: value for key, value in config.items() if key not in without}).encode()

    return fused_file("config.json", change)


def fused_without_adapter(study):
    shutil.rmtree(study.folder / "fused")
    shutil.copytree(study.folder / "model", study.folder / "fused")


def attention_not_fused(study):
    import mlx.core as mx

    base = dict(mx.load(str(study.folder / "model" / "model.safetensors")))
    mx.eval(base)
    model_tensors("fused", lambda weights: weights | {name: base[name] for name in weights if "self_attn" in name})(
        study
    )


def at_bits(bits):
    """The base model was quantized before training, and the adapter fused into that."""

    def spoil(study):
        quantize(study.folder / "model", bits)
        study.fuse()

    return spoil


def fused_in_half_precision(study):
    """The base model that was fused was bfloat16; the one in the config is single precision."""
    import mlx.core as mx

    path = study.folder / "model" / "model.safetensors"
    before = path.read_bytes()
    model_tensors("model", lambda weights: {name: one.astype(mx.bfloat16) for name, one in weights.items()})(study)
    study.fuse()
    path.write_bytes(before)
    model_tensors("fused", lambda weights: {name: one.astype(mx.float32) for name, one in weights.items()})(study)


def with_adapter_files(study):
    for path in (study.folder / "adapter").iterdir():
        shutil.copy(path, study.folder / "fused")


def the_adapter_itself(study):
    shutil.rmtree(study.folder / "fused")
    shutil.copytree(study.folder / "adapter", study.folder / "fused")


def drawn(size, seed):
    """Other weights, of that size."""

    def change(weights):
        import mlx.core as mx

        mx.random.seed(seed)
        return {name: mx.random.normal(value.shape) * size for name, value in weights.items()}

    return change


def halved(weights):
    return {name: value * (0.5 if name.endswith("lora_b") else 1) for name, value in weights.items()}


def nan_in_a_layer(weights):
    return {name: value * (float("nan") if "layers.1.mlp.up_proj" in name else 1) for name, value in weights.items()}


def with_lora_layers(weights):
    import mlx.core as mx

    return weights | {"model.layers.1.mlp.up_proj.lora_a": mx.zeros((64, 8))}


def cases():
    error, warning = "error", "warning"
    for study in (FLOAT, EIGHT):
        yield f"fused without the adapter ({study})", study, fused_without_adapter, "fused.is_base", error
        yield f"trained again after fusing ({study})", study, tensors(drawn(0.01, 1)), "fused.other_adapter", error
        scale = settings(lora_parameters={"rank": 8, "scale": 40.0, "dropout": 0.0})
        follows = ("adapter.config_differs",)
        yield f"fused at half the scale ({study})", study, scale, "fused.other_scale", error, follows
        name = f"the adapter next to the fused model ({study})"
        yield name, study, with_adapter_files, "fused.adapter_left_in", warning
    yield "lora_b halved after fusing", FLOAT, tensors(halved), "fused.other_scale", error
    yield "attention not fused", FLOAT, attention_not_fused, "fused.is_base", error
    for bits, severity in ((3, error), (4, warning)):
        yield f"a base of {bits} bits, fused to {bits} bits", FLOAT, at_bits(bits), "fused.update", severity
    yield "NaN in a fused layer", FLOAT, model_tensors("fused", nan_in_a_layer), "fused.update", error
    yield "fused into another model", FLOAT, model_tensors("model", drawn(0.1, 2)), "fused.other_base", error
    yield "fused into another precision", FLOAT, fused_in_half_precision, "fused.other_base", warning
    yield "rope_theta changed in the fused model", FLOAT, fused_config(rope_theta=500.0), "fused.config_differs", error
    yield "another end of turn in the fused model", EIGHT, fused_config(eos_token_id=0), "fused.config_differs", error
    template = fused_file("chat_template.jinja", lambda data: data.replace(b"<|im_start|>", b"<|turn|>"))
    yield "another template in the fused model", FLOAT, template, "fused.config_differs", error
    yield "the adapter given as the fused model", FLOAT, the_adapter_itself, "fused.unreadable", error
    cut = fused_file("model.safetensors", lambda data: data[: len(data) // 2])
    yield "the fused weights cut off", FLOAT, cut, "fused.unreadable", error
    unquantized = fused_config("quantization", "quantization_config")
    yield "the fused config lost its quantization", EIGHT, unquantized, "fused.unreadable", error
    yield "saved with its LoRA layers", FLOAT, model_tensors("fused", with_lora_layers), "fused.adapter_left_in", error
