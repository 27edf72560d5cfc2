"""Faults of the base model's folder: the family `model`."""

import json
import shutil
import struct

import mlx.core as mx

from .spoiling import PLAIN


def settings(**changes):
    """Set keys of config.json, or remove those that are None."""

    def spoil(study):
        path = study.folder / "model" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))

    return spoil


def weights(change):
    """`change` the tensors, by name."""

    def spoil(study):
        path = study.folder / "model" / "model.safetensors"
        tensors, metadata = mx.load(str(path), return_metadata=True)
        mx.eval(tensors)
        mx.save_safetensors(str(path), change(tensors), metadata)

    return spoil


def header(change):
    """`change` what the header says, by tensor, and leave the weights as they are."""

    def spoil(study):
        path = study.folder / "model" / "model.safetensors"
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        said = json.dumps(change(json.loads(data[8 : 8 + length]))).encode()
        path.write_bytes(struct.pack("<Q", len(said)) + said + data[8 + length :])

    return spoil


def cut(study):
    path = study.folder / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def announces_more(study):
    path = study.folder / "model" / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])


def a_shard_is_missing(study):
    folder = study.folder / "model"
    tensors = mx.load(str(folder / "model.safetensors"))
    mx.eval(tensors)
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in halves.items():
        mx.save_safetensors(str(folder / file), {name: tensors[name] for name in part}, {"format": "mlx"})
    index = {"weight_map": {name: file for file, part in halves.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    (folder / "model-00002-of-00002.safetensors").unlink()


def own_code(study):
    settings(model_file="model.py")(study)
    mark = study.folder / "it ran"
    (study.folder / "model" / "model.py").write_text(f"open({str(mark)!r}, 'w').close()\n")


def config_is_no_json(study):
    (study.folder / "model" / "config.json").write_text("{'model_type': 'llama'}")


def of_another_model(study):
    shutil.copyfile(study.folder / "model" / "tokenizer.json", study.folder / "model" / "model-extra.safetensors")


def without_template(study):
    path = study.folder / "model" / "tokenizer_config.json"
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key != "chat_template"}
    path.write_text(json.dumps(kept))


def untrained_end(like):
    """The end token's row of the output matrix is as in a base model: `like(matrix, row)`."""

    def spoil(study):
        number = json.loads((study.folder / "model" / "config.json").read_text())["eos_token_id"]

        def change(tensors):
            matrix = tensors["model.embed_tokens.weight"]
            matrix[number] = like(matrix, number)
            return tensors

        weights(change)(study)

    return spoil


def first(tensors):
    return next(name for name in sorted(tensors) if name != "__metadata__")


def cases():
    """Yield the arguments of `matrix.Case`."""
    error = "error"
    damaged = {
        "weights cut off": cut,
        "a header longer than the file": announces_more,
        "offsets beyond the end": header(
            lambda said: said | {first(said): said[first(said)] | {"data_offsets": [0, 1 << 40]}}
        ),
        "shapes that don't fit their bytes": header(
            lambda said: said | {first(said): said[first(said)] | {"shape": [3, 5]}}
        ),
        "a shard missing": a_shard_is_missing,
        "config.json not JSON": config_is_no_json,
        "another file among the weights": of_another_model,
    }
    for what, spoil in damaged.items():
        yield f"base model: {what}", PLAIN, spoil, "model.damaged", error
    yield "base model: its own code", PLAIN, own_code, "model.code", error
    brought = settings(auto_map={"AutoModelForCausalLM": "modeling.Model"})
    yield "base model: code that mlx-lm doesn't need", PLAIN, brought, "model.code", "info"
    for what, changes in {
        "unknown model_type": {"model_type": "lama"},
        "no model_type": {"model_type": None},
        "model_type that is a path": {"model_type": "../llama"},
        "model_type that is a module without a model": {"model_type": "base"},
        "no hidden_size": {"hidden_size": None},
        "a text for hidden_size": {"hidden_size": "large"},
        "heads that don't divide": {"num_attention_heads": 0},
        "no layers": {"num_hidden_layers": 0},
        "a billion layers": {"num_hidden_layers": 10**9},
    }.items():
        yield f"base model: {what}", PLAIN, settings(**changes), "model.unsupported", error, ("config.value",)
    for what, changes in {
        "another hidden_size": {"hidden_size": 128},
        "more layers": {"num_hidden_layers": 9},
        "another vocabulary": {"vocab_size": 12345},
    }.items():
        yield f"base model: {what}", PLAIN, settings(**changes), "model.tensors", error, ("config.value", "config.lora")
    fault = weights(lambda tensors: {name: tensors[name] for name in sorted(tensors)[1:]})
    yield "base model: a tensor missing", PLAIN, fault, "model.tensors", error
    more = weights(lambda tensors: tensors | {"model.layers.0.extra.weight": mx.zeros((2, 2))})
    yield "base model: a tensor too many", PLAIN, more, "model.tensors", error
    for study in (PLAIN, "bilingual-llama3", "persian-gemma"):
        yield f"base model: no chat template ({study})", study, without_template, "model.no_template", error
        zero = untrained_end(lambda matrix, row: 0 * matrix[row])
        yield f"base model: an end token of zeros ({study})", study, zero, "model.untrained_end", "warning"
    same = untrained_end(lambda matrix, row: matrix[row - 1])
    yield "base model: an end token like another", "hindi-mistral", same, "model.untrained_end", "warning"
    packed = {"group_size": 32, "bits": 8}
    for what, study, block in (
        ("no bits", PLAIN, {"group_size": 64}),
        (
            "other bits for one layer",
            "fused-chatml-8bit",
            packed | {"model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 4}},
        ),
        (
            "other groups for one layer",
            "fused-chatml-8bit",
            packed | {"model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8}},
        ),
        ("quantized in the weights only", "fused-chatml-8bit", None),
    ):
        spoil = settings(quantization=block, quantization_config=block)
        yield f"base model: {what}", study, spoil, "model.quantization", error, ("fused.unreadable",)
