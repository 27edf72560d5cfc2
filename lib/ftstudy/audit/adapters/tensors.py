"""Which tensors an adapter has, and which it should have by its own adapter_config.json."""

import json
from collections.abc import Iterator
from pathlib import Path

from ...machine_failures import pass_on
from ...models import adapted_models, adapters, peft
from ...paths import shown
from .. import architecture
from ..config.values import sound
from ..evidence import listed
from ..findings import Check, Finding
from .files import CONFIG, CONFIG_NEWER, FORMAT
from .settings import BASE_MODEL

MISSING_TENSORS = Check(
    "adapter.missing_tensors",
    ("error",),
    meaning="The weights lack some of the adapter's tensors.",
    cause="mlx-lm loads such an adapter without a warning; where tensors are missing, the model is the base model.",
    fix="Train again, or restore the whole file.",
    bad='adapter_config.json: "num_layers": 16\nadapters.safetensors: tensors of layers 8 to 15 only',
    good='adapter_config.json: "num_layers": 16\nadapters.safetensors: tensors of layers 0 to 15',
)
KEYS = Check(
    "adapter.keys",
    ("error",),
    meaning="`keys` in adapter_config.json name no module of the model, so no layer is adapted.",
    cause="mlx-lm finds no layer for any of the weights, and refuses to load them.",
    fix="Write the names of the modules that the weights are for: `keys: {keys}`.",
    bad='adapter_config.json: "lora_parameters": {"keys": ["auto"], …}',
    good='adapter_config.json: "lora_parameters": {"keys": ["self_attn.q_proj", "self_attn.v_proj"], …}',
)
CHECKS = (MISSING_TENSORS, KEYS)


def check(inputs, made: dict, shapes: dict[str, tuple], file: Path) -> Iterator[Finding]:
    """`made`: what adapter_config.json says; `shapes`: those of the tensors in `file`."""
    if keys := _unknown_keys(inputs, made):
        yield KEYS.found(
            "error",
            f"`keys: {json.dumps(keys)}` in {shown(file.parent / CONFIG)} name no module of {inputs.config['model']}",
            evidence=[f"{CONFIG}: keys: {json.dumps(keys)}", f"{file.name}: {', '.join(adapters.keys_of(shapes))}"],
            where=shown(file.parent / CONFIG),
            keys=json.dumps(adapters.keys_of(shapes)),
        )
        return
    expected = _expected(inputs, made, shapes)
    if not expected:
        return
    if found := _of_other_library(shapes, expected, file):
        yield found
        return
    missing = [name for name in expected if name not in shapes]
    extra = [name for name in shapes if name not in expected]
    present = {name: (shapes[name], shape) for name, shape in expected.items() if name in shapes}
    other = [f"{name}: {has} instead of {needs}" for name, (has, needs) in present.items() if has != needs]
    if missing:
        title = f"{shown(file)} lacks {len(missing)} of {len(expected)} tensors"
        yield MISSING_TENSORS.found("error", title, evidence=missing, where=shown(file))
    if not other and not extra:
        return
    title = f"{len(other) + len(extra)} tensors in {shown(file)} don't fit "
    lines = other + [f"{name}: unknown name" for name in extra]
    # The rank is from adapter_config.json; everything else in a shape is the base model's.
    if _only_rank_differs(present.values(), made) and _in_model(extra, inputs):
        yield CONFIG_NEWER.found(
            "error",
            title + CONFIG,
            evidence=lines,
            where=shown(file),
            cause="A later run rewrote the config next to older weights, and stopped before its end.",
            fix="Train again.",
        )
    else:
        yield BASE_MODEL.found(
            "error",
            f"{title}the base model {inputs.config['model']}",
            evidence=lines,
            where=shown(file),
            cause="The adapter was trained on another model. mlx-lm refuses to load it.",
        )


def _unknown_keys(inputs, made: dict) -> list[str]:
    model, layers = architecture.skeleton(inputs.model), made.get("num_layers")
    if model is None or type(layers) is not int:
        return []
    return adapted_models.unknown_keys(made, architecture.module_names(model, layers))


def _expected(inputs, made: dict, shapes: dict[str, tuple]) -> dict[str, tuple] | None:
    """Name -> shape of the tensors that training with these settings saves; None if unknown."""
    model = architecture.skeleton(inputs.model)
    if model is not None and peft.is_peft(made):
        return _expected_of_peft(model, made, shapes)
    config = architecture.model_config(inputs.model)
    settings = sound({**made, "num_layers": made.get("num_layers", 16)})
    full = settings.get("fine_tune_type") == "full"
    if model is None or full and ("quantization" in config or "quantization_config" in config):
        return None  # quantized weights have other names and shapes
    try:
        return architecture.trained(
            model, settings.get("fine_tune_type", "lora"), settings["num_layers"], settings.get("lora_parameters")
        )
    except Exception as error:  # settings that mlx-lm itself rejects
        pass_on(error)
        return None


def _expected_of_peft(model, made: dict, shapes: dict[str, tuple]) -> dict[str, tuple]:
    """The tensors of the modules that the config names; where it gives a pattern, of those that the weights have."""
    weights = {name: getattr(module, "weight", None) for name, module in model.named_modules()}
    modules = {name: weight.shape for name, weight in weights.items() if weight is not None and weight.ndim == 2}
    named = peft.expected(made, list(modules)) or {name.rpartition(".")[0] for name in shapes} & modules.keys()
    found = {}
    for name in sorted(named):
        (outputs, inputs), rank = modules[name], peft.rank_of(made, name)
        found |= {f"{name}.lora_a": (inputs, rank), f"{name}.lora_b": (rank, outputs)}
    return found


def _only_rank_differs(pairs, made: dict) -> bool:
    """Whether shapes (found, needed) differ only in LoRA's rank."""
    differences = {
        (has, needs)
        for found, needed in pairs
        for has, needs in (zip(found, needed) if len(found) == len(needed) else [(found, needed)])
        if has != needs
    }
    rank = sound(made).get("lora_parameters", {}).get("rank")
    return not differences or len(differences) == 1 and differences.pop()[1] == rank


def _in_model(tensors: list[str], inputs) -> bool:
    """Whether all the tensors' modules are in the model, even if not in the layers to be trained."""
    modules = {name for name, _ in architecture.skeleton(inputs.model).named_modules()}
    return all(tensor.rpartition(".")[0] in modules for tensor in tensors)


# --- tensors that another library named or shaped: mlx-lm refuses them, and its older versions ignored them -----


def _of_other_library(shapes: dict[str, tuple], expected: dict[str, tuple], file: Path) -> Finding | None:
    """A finding if the tensors of `file` are those that training would save, under other names or transposed."""
    if file.name == peft.WEIGHTS or not shapes:
        return None
    if any(peft.NAME.fullmatch(name) for name in shapes):
        return _of_format(
            f"{shown(file)} has tensors of PEFT under mlx-lm's name",
            [f"{name}: {shape}" for name, shape in shapes.items()],
            file,
            "PEFT uses other names, and stores A and B transposed. mlx-lm finds no layer for them and refuses to load them; its "
            "older versions ignored them without a word, which left the base model.",
            f"Give this study PEFT's own folder, which it reads: rename the file to {peft.WEIGHTS}, next to the {CONFIG} "
            "that PEFT saved. For mlx-lm rename lora_A.weight to lora_a and lora_B.weight to lora_b, take "
            "`base_model.model.` off the names, and transpose both.",
        )
    turned = [f"{name}: {shape} instead of {expected.get(name)}" for name, shape in shapes.items()
              if shape != shape[::-1] == expected.get(name)]  # fmt: skip
    if (
        shapes.keys() == expected.keys()
        and turned
        and all(shapes[name] in (shape, shape[::-1]) for name, shape in expected.items())
    ):
        return _of_format(
            f"{len(turned)} tensors in {shown(file)} are transposed",
            turned,
            file,
            "The names were converted from PEFT's, but not the shapes: PEFT stores A as (rank, inputs) and B as (outputs, "
            "rank).",
            "Transpose every lora_a and lora_b.",
        )
    return _prefixed(shapes, expected, file)


def _prefixed(shapes: dict[str, tuple], expected: dict[str, tuple], file: Path) -> Finding | None:
    """Names that are right except for the prefix of the layers."""
    if shapes.keys() & expected.keys():
        return None
    ours, theirs = (
        {name.partition("layers.")[0] for name in names if "layers." in name} for names in (expected, shapes)
    )
    if len(ours) != 1 or len(theirs) != 1:
        return None
    right, wrong = ours.pop(), theirs.pop()
    if {right + name.removeprefix(wrong) for name in shapes} != expected.keys():
        return None
    return _of_format(
        f"The names of the tensors in {shown(file)} begin with “{wrong}” instead of “{right}”",
        [*shapes],
        file,
        "They come from another program, or from a model that was wrapped. mlx-lm finds no layer for them and refuses to load "
        "them; its older versions ignored them without a word, which left the base model.",
        f"Rename them: “{wrong}layers…” to “{right}layers…”.",
    )


def _of_format(title: str, lines: list[str], file: Path, cause: str, fix: str) -> Finding:
    return FORMAT.found("error", title, evidence=listed(lines), where=shown(file), cause=cause, fix=fix)
