"""LoRA's settings mean different things in mlx-lm and PEFT, and model families name their modules differently."""

from collections.abc import Iterator

from ... import wording
from .. import architecture
from ..evidence import listed
from ..findings import Check, Finding
from .ignored_keys import ALPHA, DEAD
from .values import TYPE, fits, shown_key, shown_line, shown_value, sound

KEYS = Check(
    "config.lora_keys",
    ("error", "warning"),
    meaning="`lora_parameters.keys` names modules that the model, or its trained layers, don't have, or that can't be "
    "adapted.",
    cause="mlx-lm compares a key with the full name of a module inside a layer, such as self_attn.q_proj.",
    fix="Write names such as self_attn.q_proj, or delete `keys` to adapt all linear layers.",
    bad="lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [q_proj, v_proj]}",
    good="lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [self_attn.q_proj, self_attn.v_proj]}",
)
INCOMPLETE = Check(
    "config.lora_incomplete",
    ("error",),
    meaning="`lora_parameters` lacks rank, scale or dropout.",
    cause="This block replaces all of mlx-lm's defaults at once, so mlx-lm aborts at the first missing key.",
    fix="Write all three; mlx-lm's defaults are rank: 8, scale: 20.0, dropout: 0.0.",
    bad="lora_parameters: {rank: 16}",
    good="lora_parameters: {rank: 16, scale: 2.0, dropout: 0.0}",
)
LORA_ALPHA = Check(
    "config.lora_alpha",
    ("warning",),
    meaning="`lora_parameters` has alpha, which mlx-lm doesn't read.",
    cause="mlx-lm multiplies the adapter by `scale`, without dividing by the rank.",
    fix="Use `scale: {scale}` instead.",
    bad="lora_parameters: {rank: 16, alpha: 32, scale: 20.0, dropout: 0.0}",
    good="lora_parameters: {rank: 16, scale: 2.0, dropout: 0.0}  # alpha / rank",
)
SCALE = Check(
    "config.lora_scale",
    ("error", "warning", "info"),
    meaning="An unusual LoRA scale. An error at 0, an info at mlx-lm's default.",
    cause="mlx-lm multiplies the adapter by `scale`, without dividing by the rank; its default is 20.",
    fix="Set a scale between 1 and 20, or your recipe's alpha / rank.",
    bad="lora_parameters: {rank: 16, scale: 256.0, dropout: 0.0}",
    good="lora_parameters: {rank: 16, scale: 2.0, dropout: 0.0}",
)
LAYERS = Check(
    "config.num_layers",
    ("error", "info"),
    meaning="More layers than the model has. An info at 0 or below, which means all layers.",
    cause="mlx-lm aborts if there are fewer layers than `num_layers`.",
    fix="Set `num_layers: {layers}` or less, or -1 for all.",
    bad="num_layers: 32  # of a model with 24",
    good="num_layers: 16",
)
CHECKS = (KEYS, INCOMPLETE, LORA_ALPHA, SCALE, LAYERS)
SMALL_SCALE, PEFT_SCALE, LARGE_SCALE = 0.01, 10, 64  # PEFT's alpha / r is mostly 1 to 2
LARGE_DROPOUT = 0.5  # LoRA recipes use 0 to 0.1
# The last parts of the names that model families give to one and the same linear layer.
SAME = (
    {"q_proj", "wq", "query", "q"},
    {"k_proj", "wk", "key", "k"},
    {"v_proj", "wv", "value", "v"},
    {"o_proj", "out_proj", "wo", "dense", "o"},
    {"gate_proj", "w1", "gate"},
    {"up_proj", "w3", "fc1", "up", "c_fc"},
    {"down_proj", "w2", "fc2", "down", "fc_out"},
)
# Some families compute several of these in one layer.
JOINED = {
    "qkv_proj": {"q_proj", "k_proj", "v_proj"},
    "query_key_value": {"q_proj", "k_proj", "v_proj"},
    "Wqkv": {"q_proj", "k_proj", "v_proj"},
    "c_attn": {"q_proj", "k_proj", "v_proj"},
    "gate_up_proj": {"gate_proj", "up_proj"},
}
MOST = 12  # names in a message


def check(inputs) -> Iterator[Finding]:
    values = sound(inputs.config)
    settings = values["lora_parameters"]
    if values["fine_tune_type"] == "full":
        yield from _not_used(inputs)
    else:
        yield from _settings(settings)
        yield from _scale(settings.get("scale"))
        yield from _modules(inputs, settings.get("keys"), values["num_layers"])
    yield from _layers(inputs, values["num_layers"])


def _not_used(inputs):
    if given := inputs.given.get("lora_parameters"):
        yield DEAD.found(
            "info",
            "`lora_parameters` is not used: `fine_tune_type: full` trains the weights themselves",
            evidence=[shown_line("lora_parameters", given), "fine_tune_type: full"],
            cause="mlx-lm makes no adapter then, and writes `lora_parameters: null` to adapter_config.json.",
            fix="No action needed to train all weights; for LoRA set `fine_tune_type: lora`.",
        )


def _settings(settings: dict):
    lines = listed([shown_line(key, value) for key, value in settings.items()] or ["{}"])
    missing = [key for key in ("rank", "scale", "dropout") if key not in settings]
    if missing:
        yield INCOMPLETE.found("error", f"`lora_parameters` lacks {wording.listed(missing)}", evidence=lines)
    dropout = settings.get("dropout")
    for key in ALPHA:
        if key in settings:
            yield _alpha(key, settings, lines)
    if dropout is not None and dropout >= LARGE_DROPOUT:
        yield TYPE.found(
            "warning",
            f"`lora_parameters.dropout: {dropout}` drops {dropout:.0%} of the adapter's input at every step",
            evidence=f"dropout: {dropout}",
            cause="Dropout is a fraction, not a percentage; recipes use 0 to 0.1.",
            fix="Set a dropout between 0 and 0.1.",
        )


def _alpha(key: str, settings: dict, lines: list[str]) -> Finding:
    alpha, rank, scale = settings[key], settings.get("rank"), settings.get("scale")
    title = f"`lora_parameters.{key}: {shown_value(alpha)}` is ignored; "
    known = fits(alpha, float) and fits(rank, float) and rank > 0
    if not fits(scale, float):
        usual = f"{alpha / rank:g}" if known else "alpha / rank"
        return LORA_ALPHA.found("warning", f"{title}mlx-lm reads `scale`", evidence=lines, scale=usual)
    old, in_peft = (f" = {value:g}" if known else "" for value in (_ratio(alpha, rank, scale), _ratio(alpha, rank, 1)))
    return LORA_ALPHA.found(
        "warning",
        f"{title}`scale: {scale:g}` applies",
        evidence=lines,
        cause=f"mlx-lm multiplies the adapter by `scale`, here {scale:g}, without dividing by the rank. Its first "
        f"versions, which read alpha, multiplied by scale × alpha / rank{old}; PEFT multiplies by alpha / rank{in_peft}.",
        fix=f"Delete `{key}`, and keep `scale: {scale:g}` if that is meant. To train as an old mlx-lm did with this "
        f"config, set `scale` to scale × alpha / rank{old}; as a recipe of PEFT's does, to alpha / rank{in_peft}.",
    )


def _ratio(alpha, rank, scale) -> float:
    return scale * alpha / rank if all(fits(value, float) for value in (alpha, rank, scale)) and rank else 0.0


def _scale(scale):
    if not isinstance(scale, int | float) or SMALL_SCALE <= abs(scale) <= PEFT_SCALE:
        return
    severity, cause, fix = "warning", None, None
    if scale == 0:
        severity, means = "error", "the adapter is multiplied by 0, so nothing is learned"
    elif abs(scale) < SMALL_SCALE:
        means = "too small for the adapter to change much"
        cause = f"{SCALE.cause} So small a scale suppresses what the adapter learns."
    elif abs(scale) > LARGE_SCALE:
        means = f"in PEFT this would be alpha = {scale:g} × rank"
    else:
        severity, means = "info", f"in PEFT's terms, alpha = {scale:g} × rank; 1 or 2 × rank is usual"
        fix = "Choose it together with learning_rate."
    title = f"LoRA's scale is {scale:g}: {means}"
    yield SCALE.found(severity, title, evidence=f"scale: {scale:g}", cause=cause, fix=fix)


def _layers(inputs, asked: int):
    has = architecture.layers(inputs.model)
    if asked != inputs.config["num_layers"] or asked > 0 and (has is None or asked <= has):
        return
    if asked <= 0:
        yield LAYERS.found(
            "info",
            f"`num_layers: {asked}` means all{f' {has}' if has else ''} layers",
            evidence=f"num_layers: {asked}",
            cause="mlx-lm trains the last num_layers layers, or all of them at 0 or below.",
            fix="No action needed if you mean all layers.",
        )
    else:
        default = "" if "num_layers" in inputs.given else ", the default"
        yield LAYERS.found(
            "error",
            f"`num_layers` is {asked}{default}, but the model has {has} layers",
            evidence=f"num_layers: {asked}",
            layers=has,
        )


# --- keys: the modules to adapt ---------------------------------------------------------------------


def _modules(inputs, keys, num_layers: int):
    """`lora_parameters.keys` that mlx-lm would find nothing for, or nothing that can be adapted."""
    if keys is None:
        return
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        yield _of_keys(
            keys,
            "error",
            "`lora_parameters.keys` is not a list of names",
            cause="mlx-lm asks whether each module's name is in `keys`; in a text, any part of it matches.",
            fix="Write a list, such as [self_attn.q_proj, self_attn.v_proj].",
        )
        return
    model = architecture.skeleton(inputs.model)
    if model is None:
        unmatched = [key for key in keys if "." not in key and key != "lm_head"]
        if unmatched or not keys:
            yield _unmatched(keys, unmatched, "error", None)
        return
    known = architecture.module_names(model, num_layers)
    others = {name for root in architecture.roots(model, num_layers) for name, _ in root.named_modules()} - known
    unmatched = [key for key in keys if key not in known and key not in others]
    if fixed := [key for key in keys if key in others]:
        yield _of_keys(
            keys,
            "error",
            f"`lora_parameters.keys` names modules that cannot be adapted: {_some(fixed)}",
            cause="LoRA adapts linear layers and embeddings; mlx-lm aborts at a key of any other module.",
            fix="Delete them, or name the linear layers inside, such as self_attn.q_proj.",
        )
    elif unmatched or not keys:
        severity = "error" if len(unmatched) == len(keys) else "warning"
        yield _unmatched(keys, unmatched, severity, _advice(model, num_layers, unmatched))


def _of_keys(keys, severity: str, title: str, **texts) -> Finding:
    return KEYS.found(severity, title, evidence=shown_line("keys", keys), **texts)


def _unmatched(keys: list, unmatched: list[str], severity: str, advice: tuple[str, str] | None) -> Finding:
    nothing = len(unmatched) == len(keys)
    then = "Without a match there is no adapter, and nothing to train." if nothing else "Only the others are trained."
    what = "`lora_parameters.keys` matches no module" if nothing else "Some of `lora_parameters.keys` match no module"
    cause, fix = advice or (KEYS.cause, None)
    return _of_keys(keys, severity, what + f": {_some(unmatched)}" * bool(unmatched), cause=f"{cause} {then}", fix=fix)


def _advice(model, num_layers: int, unmatched: list[str]) -> tuple[str, str]:
    """Why keys match nothing in this model, and what to write."""
    there, total = architecture.layers_of_modules(model), len(model.layers)
    earlier, here = [key for key in unmatched if key in there], linear_layers(model, num_layers)
    own = f"The linear layers {'of the trained layers' if earlier else 'of this model'} are {_some(here, MOST)}."
    fixes = []
    if earlier:
        needed = total - min(max(there[key]) for key in earlier)
        cause = (
            f"{_some(earlier)} {'is' if len(earlier) == 1 else 'are'} in {_numbers(there[earlier[0]], total)}, but "
            f"`num_layers: {num_layers}` adapts only the last{f' {num_layers} layers' if num_layers > 1 else ' layer'}."
        )
        fixes.append(f"Raise `num_layers` to {needed} or more, or name modules that the trained layers have.")
    else:
        cause = KEYS.cause
    meant = {key: modules_meant(key, here) for key in unmatched if key not in earlier}
    if pairs := [f"{', '.join(own)} for {shown_key(key)}" for key, own in meant.items() if own]:
        fixes.append(f"Write {'; '.join(pairs)}.")
    return cause, " ".join([*fixes, own, "Without `keys` all of them are adapted."])


def linear_layers(model, num_layers: int) -> list[str]:
    """The names of the linear layers of the trained layers, as `keys` takes them."""
    there, total = architecture.layers_of_modules(model), len(model.layers)
    return sorted(name for name, at in there.items() if max(at) >= total - max(num_layers, 1) or num_layers <= 0)


def modules_meant(key: str, names: list[str]) -> list[str]:
    """The model's own names of what a key means in other families; [] if there is none."""
    key = key.removesuffix(".weight")
    last = key.rpartition(".")[2]
    exact = [name for name in names if name.rpartition(".")[2] == last]
    if exact:
        return [name for name in exact if name.endswith(f".{key}")] or exact
    same = next((group for group in SAME if last in group), {last})
    other = [name for name in names if name.rpartition(".")[2] in same]
    # A name such as `w1` or `out_proj` may be in several parts of a layer: take the part that the key names.
    part = "attn" if same & {"q_proj", "k_proj", "v_proj", "o_proj"} else ""
    other = [name for name in other if part in name] or other
    return other or [name for name in names if JOINED.get(name.rpartition(".")[2], set()) & same]


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(map(shown_key, names[:most])) + ", …" * (len(names) > most)


def _numbers(layers: list[int], total: int) -> str:
    if len(layers) > MOST:
        return f"{len(layers)} of the {total} layers, the last of them {layers[-1]} (counted from 0)"
    return f"layer{'s' * (len(layers) > 1)} {wording.listed(list(map(str, layers)))} of {total} (counted from 0)"
