"""Faults in the chat template and the model's end token: the family `loss`."""

import json

from templates import tokenizer_folder

from .spoiling import PLAIN, in_rows


def template_of(change):
    """Change the chat template in the model's folder."""

    def spoil(study):
        path = study.folder / "model" / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        template = change(settings["chat_template"])
        assert template != settings["chat_template"]
        path.write_text(json.dumps(settings | {"chat_template": template}), encoding="utf-8")

    return spoil


def other_end_token(study):
    """Set an end token that the template never writes."""
    for name, key, value in (
        ("tokenizer_config.json", "eos_token", "<|endoftext|>"),
        ("config.json", "eos_token_id", 0),
    ):
        path = study.folder / "model" / name
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: value}), encoding="utf-8")


def family(name):
    return lambda study: tokenizer_folder(name, study.folder / "model")


def cases():
    """Yield the arguments of `matrix.Case`."""
    error = "error"
    no_end = template_of(lambda text: text.replace("+ '<|im_end|>\n'", "+ '\n'"))
    follows = ("parity.role_header", "parity.whitespace")
    yield "a template without an end of turn", PLAIN, no_end, "loss.end_of_turn", error, follows
    no_eos = template_of(lambda text: text.replace("+ eos_token", ""))
    yield "Mistral's without </s>", "hindi-mistral", no_eos, "loss.end_of_turn", error, follows
    for study in ("texter-chatml", "formal-smollm2"):
        yield f"another end token than the template's ({study})", study, other_end_token, "loss.end_of_turn", error
    follows = ("loss.nothing_trained", "loss.nan_batch", "parity.template_arguments", "parity.end_of_prompt")
    for study in (PLAIN, "turns-chatml"):
        spoil = family("think_prompt")
        yield f"a think block only in the prompt ({study})", study, spoil, "loss.prompt_not_prefix", error, follows
    forgetful = template_of(
        lambda text: text.replace("{% for message in messages %}", "{% for message in messages[-2:] %}", 1)
    )
    also = ("loss.nothing_trained", "parity.system_text", "loss.nan_batch", "parity.template_arguments")
    yield "a template that forgets", PLAIN, forgetful, "loss.prompt_not_prefix", error, also

    def stock_replies(study):
        family("think_prompt")(study)
        in_rows(lambda row: row["messages"][-1].update(content="k"), 1.0, ("train", "valid", "test"))(study)

    follows = (
        "parity.template_arguments",
        "loss.prompt_not_prefix",
        "loss.nan_batch",
        "data.dominating_reply",
        "data.duplicates",
    )
    yield "the think block longer than the replies", PLAIN, stock_replies, "loss.nothing_trained", error, follows
    for study in (PLAIN, "formal-smollm2"):
        refuses = ("parity.profile_fails", "loss.end_of_turn", "loss.nothing_trained")
        spoil = family("gemma")
        also = (*refuses, "parity.role_header", "parity.bos")
        yield f"system messages on Gemma ({study})", study, spoil, "loss.template_refuses", error, also

    def first_assistant(row):
        row["messages"].insert(0, {"role": "assistant", "content": "still there?"})

    spoil = in_rows(first_assistant, 2)
    also = ("data.roles",)
    yield "2 rows that begin with a reply on Gemma", "turns-gemma", spoil, "loss.template_refuses", error, also

    def tool(row):
        row["messages"].insert(-1, {"role": "tool", "content": "sunny, 21 °C"})

    yield "tool results on Mistral", "hindi-mistral", in_rows(tool, 3), "loss.template_refuses", error, ("data.roles",)
