"""Faults in the texts of the rows."""

from .spoiling import ALL, EVERY, FEW, PLAIN, THIRD, in_rows, in_text, of_reply

ENDS = {
    "chatml": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "gemma": "<end_of_turn>",
    "mistral": "</s>",
}
STUDIES = {
    "chatml": "texter-chatml",
    "chatml_bos": "emoji-chatml_bos",
    "llama3": "bilingual-llama3",
    "gemma": "persian-gemma",
    "mistral": "hindi-mistral",
}


def in_chatml(row):
    """Apply the template while writing the data; training applies it again."""
    for message in row["messages"]:
        message["content"] = f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n"


def whole_prompt_in_user(row):
    system, user = row["messages"][:2]
    text = f"<|im_start|>system\n{system['content']}<|im_end|>\n<|im_start|>user\n{user['content']}<|im_end|>\n"
    row["messages"] = [{"role": "user", "content": text + "<|im_start|>assistant\n"}, row["messages"][-1]]


def in_llama2(row):
    system, user, reply = row["messages"]
    user["content"] = f"<s>[INST] <<SYS>>\n{system['content']}\n<</SYS>>\n\n{user['content']} [/INST]"
    row["messages"] = [user, reply]


def mojibake(text):
    """UTF-8 that was read as Windows-1252."""
    return text.encode().decode("cp1252", errors="replace").replace("\ufffd", "")


def cases():
    """Yield the arguments of `matrix.Case`."""
    error = "error"
    for what, text in {"": "", "of blanks": " \n ", "of a zero-width space": "\u200b"}.items():
        follows = ("data.odd_characters", "loss.nothing_trained", "data.duplicates")
        spoil = of_reply(lambda _, text=text: text)
        yield f"3 empty replies {what}".strip(), PLAIN, spoil, "data.empty_reply", error, follows
    spoil = of_reply(lambda _: "", THIRD, ("valid",))
    also = ("loss.nothing_trained", "data.dominating_reply")
    yield "a third of the replies empty in valid", "persian-gemma", spoil, "data.empty_reply", error, also
    yield "2 empty questions", PLAIN, in_text("user", lambda _: "", 2), "data.empty_user", error
    spoil = in_text("user", lambda _: " ", EVERY, ("test",))
    also = ("data.user_form_differs", "parity.user_wrapper")
    yield "all questions blank in test", "formal-smollm2", spoil, "data.empty_user", error, also
    for what, study, tag, share, splits in (
        ("in every reply", PLAIN, "Sam: {}", EVERY, ALL),
        ("in a third", "stock-chatml", "Mo: {}", THIRD, ("train",)),
        ("in 3", "bilingual-llama3", "Jörg: {}", FEW, ("train",)),
        ("in valid alone", "formal-smollm2", "Dr. Eleanor Whitcombe: {}", EVERY, ("valid",)),
        ("on a line of its own", "persian-gemma", "نیلوفر:\n{}", THIRD, ALL),
        ("of the other person", "emoji-chatml_bos", "Contact: {}", THIRD, ("train",)),
        ("Me, in valid alone", "stock-chatml", "Me: {}", EVERY, ("valid",)),
        ("and a dash", PLAIN, "Sam - {}", EVERY, ALL),
        ("and the other's next message", "texter-chatml", "{}\nContact: haha true\nSam: right", THIRD, ("train",)),
    ):
        spoil = of_reply(tag.format, share, splits)
        yield f"speaker tag {what}", study, spoil, "data.speaker_tag", error, ("parity.captured_rows",)
    for end in ("</s>", "<eos>"):
        spoil = of_reply(lambda text, end=end: text + end, EVERY, ALL)
        yield f"another model's {end} after all replies", PLAIN, spoil, "data.control_tokens", error
    for template, end in ENDS.items():
        study = STUDIES[template]
        follows = ("loss.end_of_turn", "data.templated", "loss.prompt_not_prefix")
        spoil = of_reply(lambda text, end=end: text + end, THIRD)
        yield f"{end} at the end of replies ({template})", study, spoil, "data.control_tokens", error, follows
        spoil = in_text("user", lambda text, end=end: f"{end} {text}", 2)
        also = (*follows, "parity.user_wrapper", "parity.captured_rows", "parity.role_header")
        yield f"{end} in 2 questions ({template})", study, spoil, "data.control_tokens", error, also
    spoil = of_reply(lambda text: text + "<|endoftext|>", EVERY, ("test",))
    yield "<|endoftext|> in replies of test", PLAIN, spoil, "data.control_tokens", error, ("data.templated",)
    for what, study, change, share in (
        ("ChatML in ChatML", PLAIN, in_chatml, EVERY),
        ("ChatML in 3 rows", "stock-chatml", in_chatml, FEW),
        ("the whole prompt as the question", PLAIN, whole_prompt_in_user, EVERY),
        ("ChatML on Llama 3", "unasked-llama3", in_chatml, EVERY),
        ("Llama 2's on ChatML", "emoji-chatml_bos", in_llama2, EVERY),
    ):
        follows = (
            "data.control_tokens",
            "data.speaker_tag",
            "data.system_prompts",
            "data.system_differs",
            "data.user_form_differs",
            "loss.end_of_turn",
            "parity.role_header",
        )
        yield f"templated twice: {what}", study, in_rows(change, share, ALL), "data.templated", error, follows
    spoil = of_reply(lambda text: "�" + text, 6)
    yield "U+FFFD in 6 replies", "bilingual-llama3", spoil, "data.odd_characters", "warning"
    spoil = of_reply(lambda text: mojibake(text + " für später"), THIRD)
    yield "UTF-8 read as Latin-1", "turns-gemma", spoil, "data.odd_characters", "warning"
    yield "mojibake emoji", "emoji-chatml_bos", of_reply(mojibake, EVERY, ALL), "data.odd_characters", "warning"
    spoil = of_reply(lambda text: text.replace(" ", " \u200b", 2), THIRD)
    yield "zero-width spaces", PLAIN, spoil, "data.odd_characters", "warning"
    spoil = of_reply(lambda text: text + "\x07\x00", 4)
    yield "control characters", "formal-smollm2", spoil, "data.odd_characters", "warning"
    spoil = in_text("user", lambda text: "\u202e" + text, 4)
    yield "direction marks in Latin text", "labels-qwen3", spoil, "data.odd_characters", "warning"
    for what, study, text, share, splits in (
        ("a phone number in 3 replies", PLAIN, "{} or call +49 176 12345678", FEW, ("train",)),
        ("an e-mail address in the system text", "formal-smollm2", "{} Write to e.whitcombe@example.org.", EVERY, ALL),
        (
            "a key in one question of valid",
            "stock-chatml",
            "{} ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            1,
            ("valid",),
        ),
        ("a number in other digits", "persian-gemma", "{} ۰۹۱۲۳۴۵۶۷۸۹", FEW, ("train",)),
    ):
        role = "system" if "system" in what else "user" if "question" in what else "reply"
        follows = ("parity.system", "parity.user_wrapper", "parity.captured_rows")
        yield what, study, in_text(role, text.format, share, splits), "data.identifiers", "warning", follows
