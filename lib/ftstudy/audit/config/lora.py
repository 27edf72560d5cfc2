"""LoRA's settings: mlx-lm gives them another meaning than PEFT."""

from collections.abc import Iterator

from .. import architecture
from ..evidence import listed
from ..findings import Check, Finding
from . import lora_keys
from .keys import ALPHA, DEAD
from .values import TYPE, enumerated, fits, shown_line, shown_value, sound

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
    fix="Replace it by `scale: {scale}`.",
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
CHECKS = (*lora_keys.CHECKS, INCOMPLETE, LORA_ALPHA, SCALE, LAYERS)
SMALL_SCALE, PEFT_SCALE, LARGE_SCALE = 0.01, 10, 64  # PEFT's alpha / r is mostly 1 to 2
LARGE_DROPOUT = 0.5  # LoRA recipes use 0 to 0.1


def check(inputs) -> Iterator[Finding]:
    values = sound(inputs.config)
    settings = values["lora_parameters"]
    if values["fine_tune_type"] == "full":
        yield from _not_used(inputs)
    else:
        yield from _settings(settings)
        yield from _scale(settings.get("scale"))
        yield from lora_keys.check(inputs, settings.get("keys"), values["num_layers"])
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
        yield INCOMPLETE.found("error", f"`lora_parameters` lacks {enumerated(missing)}", evidence=lines)
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
        f"{title}`scale: {scale:g}` is in force",
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
