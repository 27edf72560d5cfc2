"""Faults in single rows: their shape, and who speaks in them."""

from .spoiling import ALL, EVERY, FEW, PLAIN, THIRD, in_rows


def completion(row):
    return {"prompt": row["messages"][-2]["content"], "completion": row["messages"][-1]["content"]}


def as_text(row):
    return {"text": "\n".join(message["content"] for message in row["messages"])}


def share_gpt(row):
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in row["messages"]]}


def message(at, **changes):
    """Change keys of the message at that position; `...` removes a key."""

    def change(row):
        changed = row["messages"][at] | changes
        row["messages"][at] = {key: value for key, value in changed.items() if value is not ...}

    return change


def parts(row):
    row["messages"][-2]["content"] = [{"type": "text", "text": row["messages"][-2]["content"]}]


def without_reply(row):
    row["messages"].pop()


def swapped(row):
    other = {"user": "assistant", "assistant": "user", "system": "system"}
    for message in row["messages"]:
        message["role"] = other[message["role"]]


def renamed_roles(**names):
    def change(row):
        for message in row["messages"]:
            message["role"] = names.get(message["role"], message["role"])

    return change


def system_last(row):
    row["messages"].insert(2, row["messages"].pop(0))


def cases():
    """Yield the arguments of `matrix.Case`."""
    error = "error"

    def last_as_text(study):
        rows = study.rows("train")
        study.write("train", [*rows[:-1], as_text(rows[-1])])

    mixed = {
        "completions in a third": in_rows(completion, THIRD),
        "text in the last": last_as_text,
        "text in 3": in_rows(as_text),
        "ShareGPT in 3, the first among them": in_rows(share_gpt),
    }
    for what, spoil in mixed.items():
        follows = ("data.bad_messages", "data.system_differs", "data.user_form_differs")
        check = "data.mixed_schemas|data.bad_messages" if "ShareGPT" in what else "data.mixed_schemas"
        yield f"mixed rows: {what}", PLAIN, spoil, check, error, follows
    wrong = {
        "content null": message(1, content=None),
        "no content": message(-1, content=...),
        "no role": message(1, role=...),
        "content in parts": parts,
        "content a number": message(-1, content=42),
        "no messages": lambda row: {"messages": []},
        "messages a text": lambda row: {"messages": "hey"},
        "a list": lambda row: row["messages"],
    }
    for (what, change), study in zip(wrong.items(), [PLAIN, "stock-chatml", "formal-smollm2", "emoji-chatml_bos"] * 2):
        yield f"row with {what}", study, in_rows(change, 2), "data.bad_messages", error, ("data.mixed_schemas",)
    fault = in_rows(lambda row: {}, EVERY, ALL)
    yield "every row empty", PLAIN, fault, "data.bad_messages", error, ("data.mixed_schemas",)
    fault = in_rows(share_gpt, EVERY, ALL)
    yield "every row ShareGPT", PLAIN, fault, "data.bad_messages", error, ("data.mixed_schemas",)
    roles = {
        "human and gpt everywhere": (renamed_roles(user="human", assistant="gpt"), EVERY, ALL),
        "User with a capital in 3": (renamed_roles(user="User"), FEW, ("train",)),
        "bot in valid": (renamed_roles(assistant="bot"), EVERY, ("valid",)),
        "the owner's name in a third": (renamed_roles(assistant="Sam"), THIRD, ("train",)),
    }
    follows = ("data.last_role", "parity.profile_fails", "loss.template_refuses", "loss.prompt_not_prefix")
    follows += ("loss.nothing_trained", "parity.role_header")
    for what, (change, share, splits) in roles.items():
        yield f"roles: {what}", PLAIN, in_rows(change, share, splits), "data.roles", error, follows
    fault = in_rows(renamed_roles(assistant="model"), FEW)
    yield "roles: model in 3, as Gemma calls it", "formal-smollm2", fault, "data.roles", error, follows
    yield "roles: system after the question", PLAIN, in_rows(system_last, EVERY, ALL), "data.roles", error, follows
    ends = {
        "one row without a reply": (without_reply, 1, ("train",)),
        "no replies in test": (without_reply, EVERY, ("test",)),
        "user and assistant swapped": (swapped, EVERY, ALL),
    }
    for study in (PLAIN, "labels-qwen3"):
        for what, (change, share, splits) in ends.items():
            others = (
                "loss.prompt_not_prefix",
                "data.roles",
                "parity.profile_fails",
                "splits.reply_in_context",
                "loss.nothing_trained",
            )
            yield f"{what} ({study})", study, in_rows(change, share, splits), "data.last_role", error, others
