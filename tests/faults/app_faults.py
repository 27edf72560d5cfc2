"""Faults in the app's code: the family `app`. Its folder is next to the config, or a profile names its function."""

from .prompt_faults import asked
from .spoiling import PLAIN

PYTHON = """\
from mlx_lm import generate, load

model, tokenizer = load("models/mine")


def reply(system, history):
    prompt = f"<|im_start|>system\\n{system}<|im_end|>\\n<|im_start|>user\\n{history}<|im_end|>\\n<|im_start|>assistant\\n"
    return generate(model, tokenizer, prompt=prompt, max_tokens=200)
"""
CONCATENATED = """\
HEADER = "<|start_header_id|>{}<|end_header_id|>"


def prompt(turns):
    text = "<|begin_of_text|>"
    for role, said in turns:
        text += HEADER.format(role) + "\\n\\n" + said + "<|eot_id|>"
    return text + HEADER.format("assistant") + "\\n\\n"
"""
SWIFT = """\
func prompt(system: String, user: String) -> String {
    return "<start_of_turn>user\\n\\(system)\\n\\(user)<end_of_turn>\\n<start_of_turn>model\\n"
}
"""
SCRIPT = """\
export const prompt = (system, user) =>
  `<s>[INST] ${system}\\n\\n${user} [/INST]`;
"""

VICUNA = """\
func prompt(_ system: String, _ user: String) -> String {
    // as in "USER: … ASSISTANT:"
    return "\\(system) USER: \\(user) ASSISTANT:"
}
"""


def with_app(**files):
    """Write files into the app's folder; two underscores in a name become a dot."""

    def spoil(study):
        folder = study.folder / "app"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")

    return spoil


def wide(study):
    """A source file in UTF-16, as some Windows editors save it."""
    with_app()(study)
    (study.folder / "app" / "Prompt.cs").write_text(SWIFT, encoding="utf-16")


def cases():
    """Yield the arguments of `matrix.Case`."""
    check = ("app.hard_coded_tokens", "warning")
    yield "ChatML typed out in Python", PLAIN, with_app(reply__py=PYTHON), *check
    yield "ChatML typed out next to correct code", "app-chatml", with_app(old__py=PYTHON), *check
    yield "Llama 3's headers put together in Python", "unasked-llama3", with_app(prompt__py=CONCATENATED), *check
    yield "Gemma's turns typed out in Swift", "persian-gemma", with_app(Prompt__swift=SWIFT), *check
    yield "Mistral's [INST] typed out in JavaScript", "hindi-mistral", with_app(prompt__mjs=SCRIPT), *check
    yield "ChatML typed out for Llama 3", "unasked-llama3", with_app(reply__py=PYTHON), *check
    yield "roles in plain words in Swift", PLAIN, with_app(Prompt__swift=VICUNA), *check
    yield "Gemma's turns in UTF-16", "persian-gemma", wide, *check
    typed = asked(kind="callable", function="faults.apps:typed_out")
    yield "a function that types ChatML", "turns-chatml", typed, *check
    follows = tuple(
        f"parity.{of}" for of in ("role_header", "whitespace", "bos", "end_of_prompt", "system_text", "user_wrapper")
    )
    yield "the same on Llama 3", "turns-llama3", typed, *check, (*follows, "parity.earlier_replies")
