"""Claims on what training and inference show the model, and on what the difference costs."""

from mlx_lm.tuner.datasets import ChatDataset

from .. import chat_format
from ..report.wording import number
from . import history
from .verdicts import CONFIRMED, REFUTED, claim, holds, told, too_wide, untestable


def claims(evidence: dict) -> list[dict]:
    parity, examples, tokenizer = (evidence[name] for name in ("parity", "examples", "tokenizer"))
    profile = chat_format.named_profiles(evidence["owner"])["historical"]
    return [
        *_as_trained(examples, tokenizer),
        _hard_coded(profile),
        _differs(evidence, 8, "System prompts differ: different persona", "system"),
        _differs(evidence, 9, "User content differs: different structure", "user"),
        _termination(evidence),
        claim(
            12,
            "The model sees different patterns than it was trained on",
            "token ids of both prompts",
            f"{parity['inference']['examples'] - parity['inference']['identical']} of {parity['inference']['examples']} "
            f"inference prompts differ; {parity['aligned']['examples'] - parity['aligned']['identical']} aligned ones do",
            CONFIRMED if parity["inference"]["identical"] < parity["inference"]["examples"] else REFUTED,
        ),
        _system_needed(evidence["comparison"]),
        _template(examples, tokenizer, profile),
    ]


def _as_trained(examples: list[dict], tokenizer) -> list[dict]:
    dataset = ChatDataset(examples, tokenizer)
    templated = sum(dataset.process(row)[0] == chat_format.template_ids(row["messages"], tokenizer) for row in examples)
    printed = history.PRINTED_TRAINING_TEXT
    try:
        rendered = chat_format.template_text(history.PRINTED_EXAMPLE["messages"], tokenizer)
    except Exception as error:  # a template raises what it likes
        rendered = f"the template refuses it: {' '.join(str(error).split())}"
    same_text = rendered.rstrip("\n") == printed
    breaks = printed.count("\n<|im_end|>"), rendered.count("\n<|im_end|>")
    return [
        claim(
            5,
            "mlx_lm.lora converts messages with apply_chat_template",
            "its dataset code, replayed",
            f"{templated} of {len(examples)} rows are equal token for token",
            CONFIRMED if templated == len(examples) else REFUTED,
        ),
        claim(
            6,
            "The training text looks as printed",
            "the report's example, rendered and compared character by character",
            "equal" if same_text else f"line breaks before <|im_end|>: {breaks[0]} printed, {breaks[1]} rendered",
            CONFIRMED if same_text else REFUTED,
        ),
    ]


def _hard_coded(profile: dict) -> dict:
    markers = [token for token in ("<|im_start|>", "<|im_end|>") if token in profile["template"]]
    return claim(
        7,
        "The inference text is hard-coded ChatML",
        "the historical profile, transcribed from the report's listing",
        f"written into the string: {', '.join(markers) or 'no control token'}",
        CONFIRMED if markers else REFUTED,
    )


def _differs(evidence: dict, number_: int, statement: str, fault: str) -> dict:
    table = evidence["parity"]["inference"]
    row = next((row for row in table["rows"] if row["region"] == fault), None)
    costs = [
        f"costs the {model} model {told(effect)}" for model, effect in _main_effects(evidence["comparison"], fault)
    ]
    where = (
        f"{row['prompts']} of {table['examples']} prompts, {row['tokens']} tokens each" if row else "no token differs"
    )
    return claim(
        number_,
        statement,
        "token ids of both prompts, over held-out examples; the cost is its main effect in the factorial, and what the tuned model writes",
        "; ".join([where, *costs]),
        CONFIRMED if row else REFUTED,
    )


def _main_effects(comparison: dict, fault: str) -> list[tuple[str, dict]]:
    return [
        (model, effect)
        for model, found in comparison["attribution"].items()
        if found and model in ("base", "tuned")
        for effect in found["main"]
        if effect["fault"] == fault
    ]


def _termination(evidence: dict) -> dict:
    end = evidence["parity"]["inference"]["termination"]
    rates = [
        f"{arm['model']} stops in {number(100 * arm['end_of_turn_rate'], 0)}% of its replies"
        for arm in evidence["comparison"]["generated"]["arms"]
        if arm["format"] == "aligned" and arm["model"] in ("base", "tuned")
    ]
    return claim(
        10,
        "Training ends with <|im_end|>, inference has no end token: different termination",
        "is the end of the turn in the loss, and does the model write it",
        f"training ends with {end['training']!r}, "
        + ("which the model is trained to write itself" if end["trained"] else "which carries no loss")
        + "".join(f"; {rate}" for rate in rates),
        REFUTED if end["trained"] else CONFIRMED,
    )


def _system_needed(comparison: dict) -> dict:
    statement = "Identical system prompts are needed"
    effects = dict(_main_effects(comparison, "system"))
    if "tuned" not in effects:
        why = "the app's system text is the one of training, cannot be varied on its own, or an arm was not measured"
        return untestable(14, statement, why)
    effect = effects["tuned"]
    return claim(
        14,
        statement,
        "the main effect of the app's system text in the factorial, for the tuned model",
        told(effect) + too_wide(effect, "worse"),
        holds(effect, "worse"),
    )


def _template(examples: list[dict], tokenizer, profile: dict) -> dict:
    statement = "apply_chat_template instead of the hard-coded string changes something"
    try:
        by_template = _equal_by_template(examples, tokenizer, profile)
    except Exception as error:  # a template raises what it likes
        return untestable(16, statement, f"this model's template refuses it: {' '.join(str(error).split())}")
    return claim(
        16,
        statement,
        "the historical messages through the template, against the hard-coded string",
        f"{sum(by_template)} of {len(by_template)} prompts are equal token for token",
        REFUTED if all(by_template) else CONFIRMED,
    )


def _equal_by_template(examples: list[dict], tokenizer, profile: dict) -> list[bool]:
    return [
        chat_format.prompt_ids({"messages": chat_format.messages_for(row, profile)}, tokenizer)
        == chat_format.prompt_ids(row, tokenizer, profile)
        for row in examples
    ]
