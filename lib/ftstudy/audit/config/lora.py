"""LoRA's settings: what mlx-lm makes of them, which is not what PEFT makes of the same words."""

from .. import architecture
from ..evidence import listed
from ..findings import finding
from .values import fits, shown_key, shown_value, sound

CHECKS = {
    "config.lora_keys": (
        "error or warning",
        "`lora_parameters.keys` names modules that the model does not have, such as q_proj for self_attn.q_proj.",
    ),
    "config.lora_incomplete": ("error", "`lora_parameters` lacks a key; it replaces all of the trainer's defaults."),
    "config.lora_alpha": ("warning", "`lora_parameters` holds alpha, which the trainer does not read."),
    "config.lora_scale": ("error, warning or info", "LoRA's scale; the trainer multiplies by it, and by no 1/rank."),
    "config.num_layers": ("error or info", "More layers are asked for than the model has; or all of them."),
}
ALPHA = ("alpha", "lora_alpha")
LARGE_SCALE, PEFT_SCALE = 64, 10  # PEFT's alpha / r is mostly 1 to 2


def check(subject) -> list[dict]:
    values = sound(subject.config)
    settings = values["lora_parameters"]
    if values["fine_tune_type"] == "full":  # then mlx-lm does not look at lora_parameters
        return _layers(subject, values)
    return [
        *_incomplete(subject, settings),
        *_alpha(subject, settings),
        *_scale(subject, settings),
        *_keys(subject, values, settings),
        *_layers(subject, values),
    ]


def _say(subject, check, severity, title, evidence, cause, fix) -> dict:
    lines = [evidence] if isinstance(evidence, str) else evidence
    return finding(check, severity, title, evidence=listed(lines), cause=cause, fix=fix, where=subject.where)


def _shown(settings: dict) -> list[str]:
    return [f"{shown_key(key)}: {shown_value(value)}" for key, value in settings.items()] or ["{}"]


def _incomplete(subject, settings) -> list[dict]:
    missing = [key for key in ("rank", "scale", "dropout") if key not in settings]
    if not missing:
        return []
    return [
        _say(
            subject,
            "config.lora_incomplete",
            "error",
            f"`lora_parameters` lacks {' and '.join(missing)}",
            _shown(settings),
            "What a config gives here replaces all of mlx-lm's defaults at once, and mlx-lm aborts at the first missing key.",
            "Write all three; mlx-lm's defaults are rank: 8, scale: 20.0, dropout: 0.0.",
        )
    ]


def _alpha(subject, settings) -> list[dict]:
    rank = settings.get("rank")
    return [
        _say(
            subject,
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


def _scale(subject, settings) -> list[dict]:
    scale = settings.get("scale")
    if not isinstance(scale, int | float) or 0 < scale <= PEFT_SCALE:
        return []
    if scale == 0:
        severity, means = "error", "the adapter is multiplied by 0, so nothing is learned"
    elif scale < 0 or scale > LARGE_SCALE:
        severity, means = "warning", f"PEFT would need alpha = {scale:g} × rank for this"
    else:
        severity, means = "info", f"in PEFT's words alpha = {scale:g} × rank, where 1 or 2 × rank is usual"
    return [
        _say(
            subject,
            "config.lora_scale",
            severity,
            f"LoRA's scale is {scale:g}: {means}",
            f"scale: {scale:g}",
            "mlx-lm multiplies the adapter by `scale`, with no division by the rank; its default is 20.",
            "Choose it together with learning_rate."
            if severity == "info"
            else "Set a scale between 1 and 20, or alpha / rank of the recipe that you follow.",
        )
    ]


def _keys(subject, values, settings) -> list[dict]:
    keys = settings.get("keys")
    if keys is None:
        return []

    def say(severity, title, cause, fix):
        return [_say(subject, "config.lora_keys", severity, title, f"keys: {shown_value(keys)}", cause, fix)]

    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return say(
            "error",
            "`lora_parameters.keys` is no list of names",
            "mlx-lm asks of every module whether its name is in `keys`; in a text, that finds any part of it.",
            "Write a list, such as [self_attn.q_proj, self_attn.v_proj].",
        )
    model = architecture.skeleton(subject.model)
    if model is None:
        short = [key for key in keys if "." not in key and key != "lm_head"]
        known = set(keys) - set(short)
    else:
        known = architecture.module_names(model, values["num_layers"])
        short = [key for key in keys if key not in known]
    if keys and not short:
        return []
    whole = sorted({name for name in known for key in short if name.endswith(f".{key}") and name.count(".") == 1})
    nothing = len(short) == len(keys)
    return say(
        "error" if nothing or model is None else "warning",
        ("`lora_parameters.keys` matches no module" if nothing else "Some of `lora_parameters.keys` match no module")
        + (f": {', '.join(map(shown_key, short[:5]))}" if short else ""),
        "mlx-lm compares a key with the whole name of a module inside a layer, such as self_attn.q_proj. "
        + ("With none, no adapter is made, and there is nothing to train." if nothing else "The others are trained."),
        f"Write {', '.join(whole)}."
        if whole
        else "Write names such as self_attn.q_proj, or leave `keys` out: then all linear maps are adapted.",
    )


def _layers(subject, values) -> list[dict]:
    asked = values["num_layers"]
    has = architecture.layers(subject.model)
    if asked != subject.config["num_layers"] or asked > 0 and (has is None or asked <= has):
        return []
    if asked <= 0:
        return [
            _say(
                subject,
                "config.num_layers",
                "info",
                f"`num_layers: {asked}` means all layers" + (f", {has} of them" if has else ""),
                f"num_layers: {asked}",
                "mlx-lm takes the last num_layers layers, and all of them at 0 or below.",
                "Nothing, if all layers are meant.",
            )
        ]
    default = "num_layers" not in subject.given
    return [
        _say(
            subject,
            "config.num_layers",
            "error",
            f"`num_layers` is {asked}{', the default' if default else ''}, but the model has {has} layers",
            f"num_layers: {asked}",
            "mlx-lm aborts where more layers are asked for than there are.",
            f"Set `num_layers: {has}` or less, or -1 for all.",
        )
    ]
