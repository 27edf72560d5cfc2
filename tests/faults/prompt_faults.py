"""Faults between training and app: the family `parity`."""

import json

import served_models
from ftstudy import chat_format
from ftstudy.files import write_jsonl

from .spoiling import PLAIN
from .studies import CHATML

BOS = {
    "emoji-chatml_bos": "<|startoftext|>",
    "bilingual-llama3": "<|begin_of_text|>",
    "persian-gemma": "<bos>",
    "hindi-mistral": "<s>",
}
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{context}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
GEMMA = "<bos><start_of_turn>user\n{context}<end_of_turn>\n<start_of_turn>model\n"
LLAMA3_WITHOUT_START = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)
OLLAMAS_MISTRAL = "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }} [/INST]"
MISTRAL = "<s>[INST] {system}\n\n{context} [/INST]"


def asked(**profile):
    return lambda study: study.ask(**profile)


def prompt(text):
    return asked(kind="template", template=text)


def app(function):
    return asked(kind="callable", function=f"faults.apps:{function}")


def captured(change, **options):
    return lambda study: study.capture(change, **options)


def turned(change):
    """Recorded of an app that renders other turns behind the system turn, with the template of the model."""

    def spoil(study):
        tokenizer, recorded = study.tokenizer, []
        for number, row in enumerate(study.rows("test")):
            messages = row["messages"][:-1]
            first = int(messages[0]["role"] == "system")
            messages = messages[:first] + change(messages[first:])
            ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            recorded.append({"split": "test", "row": number, "ids": list(ids)})
        write_jsonl(study.folder / "captured.jsonl", recorded)
        study.ask(kind="captured", file="captured.jsonl")

    return spoil


def retokenized(change):
    """The app's prompt as text, changed, and tokenized once more without another BOS."""

    def changed(ids, tokenizer):
        text = change(tokenizer.decode(ids))
        return list(tokenizer.encode(text, add_special_tokens=False))

    return captured(changed)


def cases():
    """Yield the arguments of `matrix.Case`."""
    yield from _starts()
    yield from _contents()
    yield from _markup()
    yield from _records()
    yield from _served()


def _starts():
    error = "error"
    for study, bos in BOS.items():
        yield f"{bos} left out ({study})", study, captured(lambda ids, _: ids[1:]), "parity.bos", error
        yield f"{bos} twice ({study})", study, captured(lambda ids, _: ids[:1] + ids), "parity.bos", error
    yield "another start of text", "formal-smollm2", prompt("<|endoftext|>" + CHATML), "parity.bos", error
    spoil = captured(lambda ids, t: t.encode("<|endoftext|>") + ids)
    yield "a BOS that ChatML has not", PLAIN, spoil, "parity.bos", error


def _contents():
    error = "error"
    for study in (PLAIN, "bilingual-llama3", "hindi-mistral", "stock-mistral-tagged"):
        other = asked(system="You are a helpful assistant.")
        yield f"another system text ({study})", study, other, "parity.system_text", error
    persona = asked(system="{system} Keep it short.")
    yield "a sentence more in the system text", "emoji-chatml_bos", persona, "parity.system_text", error
    typo = retokenized(lambda text: text.replace("Reply to text", "Reply to  text", 1))
    yield "a blank more in the system text", PLAIN, typo, "parity.system_text|parity.whitespace", error
    either = "parity.system_text|parity.default_system"
    yield "no system text", PLAIN, app("no_system"), either, error, ("parity.role_header",)
    study, spoil = "nosystem-chatml_bos", asked(system="You are Alex.")
    yield "a system text where training has none", study, spoil, either, error, ("parity.role_header",)
    follows = ("parity.system_text", "parity.role_header")
    yield "no system text, so SmolLM's own", "formal-smollm2", app("no_system"), "parity.default_system", error, follows
    own = prompt("<|im_start|>user\n{context}<|im_end|>\n<|im_start|>assistant\n")
    yield "SmolLM's own system text in training alone", "nosystem-smollm2", own, "parity.default_system", error, follows
    spoil = asked(system="You are Sam.")
    yield "a system text in place of SmolLM's own", "nosystem-smollm2", spoil, either, error, follows
    for study in (PLAIN, "persian-gemma", "hindi-mistral", "bilingual-llama3"):
        yield f"wrapped ({study})", study, asked(user=chat_format.WRAPPER), "parity.user_wrapper", error
    for study in ("labels-qwen3", "formal-smollm2"):
        yield f"the last message alone ({study})", study, asked(user="{last_message}"), "parity.user_wrapper", error
    spoil = asked(user="Reply to this: {context}")
    yield "an instruction before the question", "stock-chatml", spoil, "parity.user_wrapper", error
    yield "not wrapped, as training is", "wrapped-chatml", asked(user="{context}"), "parity.user_wrapper", error
    for study in ("turns-chatml", "turns-llama3", "turns-gemma"):
        yield f"earlier replies summed up ({study})", study, app("shortened_replies"), "parity.earlier_replies", error
    pair = [{"role": "user", "content": "u there?"}, {"role": "assistant", "content": "always"}]
    few_shot = turned(lambda turns: pair + turns)
    for study in (PLAIN, "bilingual-llama3", "hindi-mistral", "formal-smollm2", "turns-gemma"):
        yield f"a pair of turns as an example ({study})", study, few_shot, "parity.earlier_replies", error
    doubled = turned(lambda turns: turns[:-1] + turns)
    rewritten = turned(lambda turns: [turns[0] | {"content": "hm"}, *turns[1:]] if len(turns) > 1 else turns)
    for study in ("turns-chatml", "turns-llama3", "turns-gemma"):
        yield f"the history twice ({study})", study, doubled, "parity.earlier_replies", error
        yield f"the first question rewritten ({study})", study, rewritten, "parity.earlier_replies", error
    briefly = turned(lambda turns: [*turns, {"role": "user", "content": "Answer briefly."}])
    follows = ("parity.user_wrapper",)
    for study in (PLAIN, "hindi-mistral"):
        yield f"a user turn more ({study})", study, briefly, "parity.earlier_replies", error, follows
    follows = ("parity.user_wrapper", "parity.role_header")
    for study in ("turns-chatml", "turns-gemma"):
        yield f"no history ({study})", study, app("last_turn_only"), "parity.earlier_replies", error, follows
    spoil = asked(**chat_format.named_profiles("Sam")["historical"])
    yield "the original app's prompt", PLAIN, spoil, "parity.user_wrapper", error, ("parity.system_text",)


def _markup():
    error = "error"
    yield "role human", PLAIN, prompt(CHATML.replace("user\n", "human\n")), "parity.role_header", error
    spoil = prompt(CHATML)
    also = ("parity.bos", "parity.end_of_prompt", "parity.whitespace", "parity.system_text", "parity.user_wrapper")
    yield "ChatML on Llama 3", "unasked-llama3", spoil, "parity.role_header", error, also
    spoil = prompt(LLAMA3.replace("user<|end_header_id|>", "user:"))
    yield "Llama 3's header without its end", "unasked-llama3", spoil, "parity.role_header", error
    spoil = prompt("System: {system}\n\nUser: {context}\n\nAssistant:")
    also = ("end_of_prompt", "bos", "whitespace", "default_system", "system_text", "user_wrapper")
    also = tuple(f"parity.{name}" for name in also)
    yield "plain names in place of headers", "formal-smollm2", spoil, "parity.role_header", error, also
    in_line = prompt("{system} USER: {context} ASSISTANT:")
    yield "plain names in one line", PLAIN, in_line, "parity.role_header", error
    yield "plain names in one line on Qwen", "labels-qwen3", in_line, "parity.role_header", error
    spoil = prompt("<s>[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{context} [/INST]")
    check, also = (
        "parity.role_header|parity.system_text",
        ("parity.system_text", "parity.user_wrapper", "parity.role_header"),
    )
    yield "Llama 2's system block on Mistral", "hindi-mistral", spoil, check, error, also
    spoil = prompt(CHATML.replace("<|im_end|>\n", "<|im_end|>"))
    yield "no line break between turns", PLAIN, spoil, "parity.whitespace", error
    spoil = prompt(CHATML.replace("<|im_end|>\n", "<|im_end|>\n\n"))
    yield "a blank line between turns", "formal-smollm2", spoil, "parity.whitespace", error
    spoil = prompt(LLAMA3.replace("\n\n{context}", "\n{context}"))
    yield "one line break for Llama 3's two", "unasked-llama3", spoil, "parity.whitespace", error
    yield "a line break before the prompt", PLAIN, prompt("\n" + CHATML), "parity.whitespace", error
    spoil = prompt("\n" + LLAMA3)
    yield "a line break before the start token", "unasked-llama3", spoil, "parity.whitespace", error, ("parity.bos",)
    between = prompt(LLAMA3.replace("<|eot_id|>", "<|eot_id|>\n"))
    yield "a line break between Llama 3's turns", "unasked-llama3", between, "parity.whitespace", error
    for study in (PLAIN, "hindi-mistral", "persian-gemma", "bilingual-llama3"):
        windows = retokenized(lambda text: text.replace("\n", "\r\n"))
        yield f"line ends of Windows ({study})", study, windows, "parity.whitespace", error
    spoil = app("spaced_out")
    also = ("parity.user_wrapper", "parity.system_text")
    yield "a line break behind each message", "labels-qwen3", spoil, "parity.whitespace", error, also
    spoil = asked(user="{context} ")
    yield "a blank behind the question", "app-chatml", spoil, "parity.whitespace|parity.user_wrapper", error
    for study, text in ((PLAIN, CHATML), ("formal-smollm2", CHATML)):
        spoil = prompt(text.removesuffix("<|im_start|>assistant\n"))
        yield f"no header of the reply ({study})", study, spoil, "parity.end_of_prompt", error
    spoil = prompt(LLAMA3[: LLAMA3.rindex("<|start_header_id|>")])
    yield "no header of the reply (unasked-llama3)", "unasked-llama3", spoil, "parity.end_of_prompt", error
    spoil = prompt(CHATML.removesuffix("\n"))
    yield "the reply's header without its line break", PLAIN, spoil, "parity.end_of_prompt|parity.whitespace", error
    spoil = prompt(GEMMA.replace("model\n", "assistant\n"))
    yield "Gemma's model called assistant", "persian-gemma", spoil, "parity.end_of_prompt|parity.role_header", error
    spoil = prompt(MISTRAL + " ")
    yield "a blank behind [/INST]", "hindi-mistral", spoil, "parity.end_of_prompt|parity.whitespace", error
    yield "the reply begun", PLAIN, prompt(CHATML + "Sam: "), "parity.end_of_prompt", error
    follows = ("parity.end_of_prompt",)
    yield "thinking turned on in the app", "texter-think", app("thinking"), "parity.template_arguments", error, follows
    less = retokenized(lambda text: text.removesuffix("<think>\n\n</think>\n\n"))
    either = "parity.template_arguments|parity.end_of_prompt"
    yield "recorded with thinking on", "texter-think", less, either, error, ("parity.end_of_prompt",)


def _records():
    error = "error"
    for what, function in {
        "on every row": "fails",
        "on long questions": "fails_on_long_questions",
        "with nothing": "nothing",
    }.items():
        yield f"the app fails {what}", "app-chatml", app(function), "parity.profile_fails", error

    def first(number):
        def spoil(study):
            path = study.folder / "captured.jsonl"
            path.write_text(
                "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:number]), encoding="utf-8"
            )

        return spoil

    yield "3 prompts recorded", "bilingual-llama3", first(3), "parity.captured_rows", "warning"

    def shifted(study):
        study.capture()
        path = study.folder / "captured.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(json.dumps(row | {"row": row["row"] + 1000}) + "\n" for row in rows), encoding="utf-8")

    yield "recorded from other data", PLAIN, shifted, "parity.captured_rows", "warning"

    def spelt(study):
        rows = [{"split": "test", "row": number, "ids": "1 2 3"} for number in range(len(study.rows("test")))]
        write_jsonl(study.folder / "captured.jsonl", rows)
        study.ask(kind="captured", file="captured.jsonl")

    yield "recorded ids that are a text", PLAIN, spelt, "parity.profile_fails", error, ("parity.captured_rows",)


def own_last(study):
    """The owner wrote once more before the first replies of the test split."""
    rows = study.rows("test")
    for row in rows[:3]:
        row["messages"][1]["content"] += f"\n{study.owner}: anyone there?"
    study.write("test", rows)


def _served():
    """Faults of an app behind Ollama or llama.cpp's server."""
    error = "error"

    def serve(**options):
        return lambda study: study.serve(**options)

    def serve_gguf(**options):
        return lambda study: study.serve_gguf(**options)

    ollama, gemma, llama = "ollama-chatml", "ollama-gemma", "gguf-llama3"
    without_system = "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n"
    yield (
        "a Modelfile whose TEMPLATE drops the system text",
        ollama,
        serve(template=without_system),
        "parity.system_text|parity.default_system",
        error,
        ("parity.role_header",),
    )
    other = serve(system="You are a helpful assistant.")
    yield "a Modelfile with another SYSTEM", ollama, other, "parity.system_text", error
    shot = serve(lines='MESSAGE user "u there?"\nMESSAGE assistant always\n')
    yield "a Modelfile with turns of its own", ollama, shot, "parity.earlier_replies", error
    tight = serve(template=served_models.CHATML_ONCE.replace("<|im_start|>assistant\n", "<|im_start|>assistant"))
    yield "a TEMPLATE without the last line break", ollama, tight, "parity.end_of_prompt|parity.whitespace", error
    bare = serve(template="{{ .System }} USER: {{ .Prompt }} ASSISTANT: ")
    yield "a TEMPLATE of another family", ollama, bare, "parity.role_header", error, ("parity.end_of_prompt",)
    twice = serve(template="<bos>" + served_models.GEMMA, add_bos=True)
    yield "a start token in the TEMPLATE and from Ollama", gemma, twice, "parity.bos", error
    yield "no start token from TEMPLATE or Ollama", gemma, serve(add_bos=False), "parity.bos", error
    missing, cuts = "parity.stop_missing", "parity.stop_cuts_replies"
    spoil = serve(stop="", gguf=False, lines="# moved\n")
    yield "no stop, and a GGUF that is elsewhere", ollama, spoil, missing, "warning"
    yield "another family's stop", ollama, serve(stop="<|eot_id|>", gguf=False), missing, "warning"
    for stop in ("", "<|im_end|>"):
        ended = serve(template=OLLAMAS_MISTRAL, stop=stop, eos="<unk>")
        yield f"a GGUF with another end token, and {stop or 'no stop'}", "hindi-mistral", ended, missing, error
    yield "llama.cpp with another end token", "hindi-mistral", serve_gguf(eos="<unk>", add_bos=True), missing, error
    yield "a stop text that replies contain", ollama, serve(stop="e"), cuts, error
    asked_last = lambda study: (own_last(study), study.ask(user="{last_message}"))  # noqa: E731
    follows = ("parity.user_wrapper",)
    yield "the last message is the owner's own", PLAIN, asked_last, "parity.own_last_message", "info", follows
    rare = lambda study: study.ask(stop=[study.rows("train")[0]["messages"][-1]["content"]])  # noqa: E731
    yield "a stop text that is one reply", PLAIN, rare, cuts, "warning"
    spoil = serve(lines="PARAMETER num_ctx 16\n")
    yield "a context shorter than the prompts", ollama, spoil, "parity.prompt_cut", error
    chatml = serve_gguf(
        template="{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    follows = tuple(f"parity.{of}" for of in ("end_of_prompt", "whitespace", "system_text", "user_wrapper", "bos"))
    yield "a GGUF with another chat template", llama, chatml, "parity.role_header", error, follows
    without = serve_gguf(template=LLAMA3_WITHOUT_START)
    yield "a GGUF without a start token", llama, without, "parity.bos", error
