"""LoRA's settings: what mlx-lm makes of them, which is not what PEFT makes of the same words."""

from mlx.utils import tree_flatten

from .. import architecture
from .values import enumerated, fits, say, shown_key, shown_value, sound

CHECKS = {
    "config.lora_keys": (
        "error or warning",
        "`lora_parameters.keys` names modules that the model does not have, such as q_proj for self_attn.q_proj, "
        "or that cannot be adapted.",
    ),
    "config.lora_incomplete": ("error", "`lora_parameters` lacks a key; it replaces all of the trainer's defaults."),
    "config.lora_alpha": ("warning", "`lora_parameters` holds alpha, which the trainer does not read."),
    "config.lora_scale": ("error, warning or info", "LoRA's scale; the trainer multiplies by it, and by no 1/rank."),
    "config.num_layers": ("error or info", "More layers are asked for than the model has; or all of them."),
}
ALPHA = ("alpha", "lora_alpha")
SMALL_SCALE, PEFT_SCALE, LARGE_SCALE = 0.01, 10, 64  # PEFT's alpha / r is mostly 1 to 2
LARGE_DROPOUT = 0.5  # recipes for LoRA have 0 to 0.1


def check(inputs) -> list[dict]:
    values = sound(inputs.config)
    settings = values["lora_parameters"]
    if values["fine_tune_type"] == "full":
        return [*_not_used(inputs), *_layers(inputs, values)]
    return [
        *_incomplete(inputs, settings),
        *_alpha(inputs, settings),
        *_scale(inputs, settings),
        *_sizes(inputs, settings),
        *_keys(inputs, values, settings),
        *_layers(inputs, values),
    ]


def _shown(settings: dict) -> list[str]:
    return [f"{shown_key(key)}: {shown_value(value)}" for key, value in settings.items()] or ["{}"]


def _incomplete(inputs, settings) -> list[dict]:
    missing = [key for key in ("rank", "scale", "dropout") if key not in settings]
    if not missing:
        return []
    return [
        say(
            inputs,
            "config.lora_incomplete",
            "error",
            f"`lora_parameters` lacks {enumerated(missing)}",
            _shown(settings),
            "What a config gives here replaces all of mlx-lm's defaults at once, and mlx-lm aborts at the first missing key.",
            "Write all three; mlx-lm's defaults are rank: 8, scale: 20.0, dropout: 0.0.",
        )
    ]


def _alpha(inputs, settings) -> list[dict]:
    rank = settings.get("rank")
    return [
        say(
            inputs,
            "config.lora_alpha",
            "warning",
            f"`lora_parameters.{key}: {shown_value(settings[key])}` is ignored; mlx-lm reads `scale`",
            _shown(settings),
            "mlx-lm multiplies the adapter by `scale` itself, with no division by the rank.",
            f"Take {key} out and set `scale: "
            + (f"{settings[key] / rank:g}`." if fits(settings[key], float) and fits(rank, float) else "alpha / rank`."),
        )
        for key in ALPHA
        if key in settings
    ]


def _not_used(inputs) -> list[dict]:
    given = inputs.given.get("lora_parameters")
    if not given:
        return []
    return [
        say(
            inputs,
            "config.dead_key",
            "info",
            "`lora_parameters` is not used, for `fine_tune_type: full` trains the weights themselves",
            [f"lora_parameters: {shown_value(given)}", "fine_tune_type: full"],
            "mlx-lm makes no adapter then, and writes `lora_parameters: null` into adapter_config.json.",
            "Nothing, if the layers themselves are to be trained; else set `fine_tune_type: lora`.",
        )
    ]


def _scale(inputs, settings) -> list[dict]:
    scale = settings.get("scale")
    if not isinstance(scale, int | float) or SMALL_SCALE <= scale <= PEFT_SCALE:
        return []
    cause = "mlx-lm multiplies the adapter by `scale`, with no division by the rank; its default is 20."
    severity, fix = "warning", "Set a scale between 1 and 20, or alpha / rank of the recipe that you follow."
    if scale == 0:
        severity, means = "error", "the adapter is multiplied by 0, so nothing is learned"
    elif scale < 0:
        means = "a minus sign that does nothing but confuse"
        cause += f" Training makes up for the sign: with {scale:g} it learns what it would with {-scale:g}."
        fix = f"Write {-scale:g}, if that is what was meant."
    elif scale < SMALL_SCALE:
        means = "so small that the adapter hardly changes anything"
        cause += " What the adapter learns counts by as little."
    elif scale > LARGE_SCALE:
        means = f"PEFT would need alpha = {scale:g} × rank for this"
    else:
        severity, means = "info", f"in PEFT's words alpha = {scale:g} × rank, where 1 or 2 × rank is usual"
        fix = "Choose it together with learning_rate."
    return [
        say(
            inputs,
            "config.lora_scale",
            severity,
            f"LoRA's scale is {scale:g}: {means}",
            f"scale: {scale:g}",
            cause,
            fix,
        )
    ]


def _sizes(inputs, settings) -> list[dict]:
    """A rank or a dropout that mlx-lm takes, but that nobody means."""
    rank, dropout, widest = settings.get("rank"), settings.get("dropout"), _widest(inputs)
    found = []
    if rank is not None and widest and rank > widest:
        found.append(
            say(
                inputs,
                "config.type",
                "warning",
                f"`lora_parameters.rank: {rank}` is more than any of the model's maps can have, {widest:,}",
                f"rank: {rank}",
                "An adapter of a higher rank than the map that it changes is larger than the map itself, and can do no more.",
                f"Set a rank far below {widest:,}; 8 to 64 is usual.",
            )
        )
    if dropout is not None and dropout >= LARGE_DROPOUT:
        found.append(
            say(
                inputs,
                "config.type",
                "warning",
                f"`lora_parameters.dropout: {dropout}` drops {dropout:.0%} of what the adapter sees at every step",
                f"dropout: {dropout}",
                "It is a share of 1, not a number of percent, and mostly 0 to 0.1.",
                "Set a dropout between 0 and 0.1.",
            )
        )
    return found


def _widest(inputs) -> int | None:
    """The highest rank that a map inside the model's layers can have; None where nobody can say."""
    model = architecture.skeleton(inputs.model)
    if model is None:
        return None
    shapes = [value.shape[-2:] for layer in model.layers for _, value in tree_flatten(layer.parameters())]
    return max((min(shape) for shape in shapes if len(shape) == 2), default=None)


def _keys(inputs, values, settings) -> list[dict]:
    keys = settings.get("keys")
    if keys is None:
        return []

    def say_keys(severity, title, cause, fix):
        return [say(inputs, "config.lora_keys", severity, title, f"keys: {shown_value(keys)}", cause, fix)]

    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return say_keys(
            "error",
            "`lora_parameters.keys` is no list of names",
            "mlx-lm asks of every module whether its name is in `keys`; in a text, that finds any part of it.",
            "Write a list, such as [self_attn.q_proj, self_attn.v_proj].",
        )
    model = architecture.skeleton(inputs.model)
    if model is None:
        short = [key for key in keys if "." not in key and key != "lm_head"]
        known, fixed = set(keys) - set(short), []
    else:
        known = architecture.module_names(model, values["num_layers"])
        fixed = [key for key in keys if key not in known and key in _modules(model, values["num_layers"])]
        short = [key for key in keys if key not in known and key not in fixed]
    if fixed:
        return say_keys(
            "error",
            f"`lora_parameters.keys` names modules that cannot be adapted: {', '.join(map(shown_key, fixed[:5]))}",
            "LoRA adapts linear maps and embeddings; mlx-lm aborts where a key names another module.",
            "Take them out, or name the linear maps inside, such as self_attn.q_proj.",
        )
    if keys and not short:
        return []
    whole = sorted({name for name in known for key in short if name.endswith(f".{key}") and name.count(".") == 1})
    nothing = len(short) == len(keys)
    return say_keys(
        "error" if nothing or model is None else "warning",
        ("`lora_parameters.keys` matches no module" if nothing else "Some of `lora_parameters.keys` match no module")
        + (f": {', '.join(map(shown_key, short[:5]))}" if short else ""),
        "mlx-lm compares a key with the whole name of a module inside a layer, such as self_attn.q_proj. "
        + ("With none, no adapter is made, and there is nothing to train." if nothing else "The others are trained."),
        f"Write {', '.join(whole)}."
        if whole
        else "Write names such as self_attn.q_proj, or leave `keys` out: then all linear maps are adapted.",
    )


def _modules(model, num_layers: int) -> set[str]:
    """Every name that mlx-lm compares with a key, whatever the module is."""
    return {name for root in (*model.layers[-max(num_layers, 0) :], model) for name, _ in root.named_modules()}


def _layers(inputs, values) -> list[dict]:
    asked = values["num_layers"]
    has = architecture.layers(inputs.model)
    if asked != inputs.config["num_layers"] or asked > 0 and (has is None or asked <= has):
        return []
    if asked <= 0:
        return [
            say(
                inputs,
                "config.num_layers",
                "info",
                f"`num_layers: {asked}` means all layers" + (f", {has} of them" if has else ""),
                f"num_layers: {asked}",
                "mlx-lm takes the last num_layers layers, and all of them at 0 or below.",
                "Nothing, if all layers are meant.",
            )
        ]
    default = "num_layers" not in inputs.given
    return [
        say(
            inputs,
            "config.num_layers",
            "error",
            f"`num_layers` is {asked}{', the default' if default else ''}, but the model has {has} layers",
            f"num_layers: {asked}",
            "mlx-lm aborts where more layers are asked for than there are.",
            f"Set `num_layers: {has}` or less, or -1 for all.",
        )
    ]
