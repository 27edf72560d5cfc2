"""Claims about what training and inference show the model, and about what the difference costs."""

from mlx_lm.tuner.datasets import ChatDataset

from .. import chat_format
from ..machine_failures import pass_on
from . import history
from .verdicts import CONFIRMED, REFUTED, claim, describe, judge, too_wide, untestable


def claims(evidence: dict) -> list[dict]:
    examples, tokenizer, comparison = (evidence[name] for name in ("examples", "tokenizer", "comparison"))
    profile = chat_format.named_profiles(evidence["owner"])["historical"]
    return [
        *_as_trained(examples, tokenizer),
        _hard_coded(profile),
        _differs(evidence, 8, "System prompts differ: different persona", "system"),
        _differs(evidence, 9, "User content differs: different structure", "user"),
        _termination(evidence["parity"]["inference"]["termination"], comparison["generated"]["arms"]),
        _other_patterns(evidence["parity"]),
        _system_needed(comparison),
        _template(examples, tokenizer, profile),
    ]


def _as_trained(examples: list[dict], tokenizer) -> list[dict]:
    dataset = ChatDataset(examples, tokenizer)
    templated = sum(dataset.process(row)[0] == chat_format.template_ids(row["messages"], tokenizer) for row in examples)
    printed = history.PRINTED_TRAINING_TEXT
    try:
        rendered = chat_format.template_text(history.PRINTED_EXAMPLE["messages"], tokenizer)
    except Exception as error:  # a chat template can raise anything
        pass_on(error)
        rendered = f"the template rejects it: {' '.join(str(error).split())}"
    same_text = rendered.rstrip("\n") == printed
    breaks = printed.count("\n<|im_end|>"), rendered.count("\n<|im_end|>")
    return [
        claim(
            5,
            "mlx_lm.lora converts messages with apply_chat_template",
            "run its dataset code on this run's rows",
            f"{templated} of {len(examples)} rows are identical, token for token",
            CONFIRMED if templated == len(examples) else REFUTED,
        ),
        claim(
            6,
            "The training text looks as printed",
            "render the report's example and compare it character by character",
            "identical" if same_text else f"line breaks before <|im_end|>: {breaks[0]} printed, {breaks[1]} rendered",
            CONFIRMED if same_text else REFUTED,
        ),
    ]


def _hard_coded(profile: dict) -> dict:
    markers = [token for token in ("<|im_start|>", "<|im_end|>") if token in profile["template"]]
    return claim(
        7,
        "The inference text is hard-coded ChatML",
        "the profile of the original's app, copied from the report's listing",
        f"typed into the string: {', '.join(markers) or 'no control token'}",
        CONFIRMED if markers else REFUTED,
    )


def _differs(evidence: dict, number: int, statement: str, fault: str) -> dict:
    table = evidence["parity"]["inference"]
    row = next((row for row in table["rows"] if row["region"] == fault), None)
    where = f"{row['prompts']} of {table['examples']} prompts, {row['tokens']} tokens each" if row else "no difference"
    effects = _main_effects(evidence["comparison"], fault)
    measured = "; ".join([where, *(f"{model} model: {describe(effect)}" for model, effect in effects.items())])
    test = "token ids of both prompts over held-out examples; the cost is the fault's main effect"
    return claim(number, statement, test, measured, CONFIRMED if row else REFUTED)


def _main_effects(comparison: dict, fault: str) -> dict[str, dict]:
    return {
        model: effect
        for model, found in comparison["attribution"].items()
        if found and model in ("base", "tuned")
        for effect in found["main"]
        if effect["fault"] == fault
    }


def _termination(end: dict, arms: list[dict]) -> dict:
    rates = [
        f"; the {arm['model']} model stops by itself in {arm['end_of_turn_rate']:.0%} of its replies"
        for arm in arms
        if arm["format"] == "aligned" and arm["model"] in ("base", "tuned")
    ]
    trained = "which the model learns to write itself" if end["trained"] else "which has no loss"
    return claim(
        10,
        "Training ends with <|im_end|>, inference has no end token: different termination",
        "is the end of the turn in the loss, and does the model write it?",
        f"training ends with {end['training']!r}, {trained}{''.join(rates)}",
        REFUTED if end["trained"] else CONFIRMED,
    )


def _other_patterns(parity: dict) -> dict:
    inference, aligned = parity["inference"], parity["aligned"]
    different, different_aligned = (side["examples"] - side["identical"] for side in (inference, aligned))
    return claim(
        12,
        "The model sees different patterns than it was trained on",
        "token ids of both prompts",
        f"{different} of {inference['examples']} inference prompts differ; rendered as in training, {different_aligned}",
        CONFIRMED if different > 0 else REFUTED,
    )


def _system_needed(comparison: dict) -> dict:
    statement = "Identical system prompts are needed"
    effect = _main_effects(comparison, "system").get("tuned")
    if effect is None:
        why = "the app's system text is that of training, or can't be varied on its own, or an arm was not measured"
        return untestable(14, statement, why)
    test = "the main effect of the app's system text on the tuned model"
    return claim(14, statement, test, describe(effect) + too_wide(effect, "worse"), judge(effect, "worse"))


def _template(examples: list[dict], tokenizer, profile: dict) -> dict:
    statement = "apply_chat_template instead of the hard-coded string changes something"
    try:
        identical = [
            chat_format.prompt_ids({"messages": chat_format.messages_for(row, profile)}, tokenizer)
            == chat_format.prompt_ids(row, tokenizer, profile)
            for row in examples
        ]
    except Exception as error:  # a chat template can raise anything
        pass_on(error)
        return untestable(16, statement, f"this model's template rejects it: {' '.join(str(error).split())}")
    return claim(
        16,
        statement,
        "the original app's messages through the template, against the hard-coded string",
        f"{sum(identical)} of {len(identical)} prompts are identical, token for token",
        REFUTED if all(identical) else CONFIRMED,
    )
