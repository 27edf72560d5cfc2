"""Faults of many rows together: repeats and differences between splits. Families `data` and `splits`."""

import json
import random
import re

from ftstudy.files import write_jsonl

from .conversations import rows_of, sessions, user_turn
from .spoiling import ALL, EVERY, PLAIN, THIRD, in_rows, in_text, of_reply, picked


def doubled(share):
    def spoil(study):
        rows = study.rows("train")
        rows += [rows[position] for position in picked(rows, share)]
        study.write("train", rows)

    return spoil


def one_row_often(number):
    def spoil(study):
        rows = study.rows("train")
        longest = max(rows, key=lambda row: len(row["messages"][-1]["content"]))
        study.write("train", rows + [longest] * number)

    return spoil


def without_system(row):
    row["messages"] = [message for message in row["messages"] if message["role"] != "system"]


def dated_system(study):
    rows = study.rows("train")
    for number, row in enumerate(rows):
        row["messages"][0]["content"] += f" Today is 2024-{1 + number // 28 % 12:02}-{1 + number % 28:02}."
    study.write("train", rows)


def other_form(split, form):
    """A split extracted by another version of the script: its user turns have another layout."""

    def spoil(study):
        rows = study.rows(split)
        source, made = sessions(study.plan.persona, random.Random("other form")), []
        while len(made) < len(rows):
            made += [row for _, _, row in rows_of(next(source), study.owner, rows[0]["messages"][0]["content"], form)]
        study.write(split, made[: len(rows)])

    return spoil


def last_message_alone(split):
    return in_text("user", lambda text: re.split(r"\n(?=Contact: )", text)[-1].partition(": ")[2], EVERY, (split,))


def copied(number, into, change=None, source="train"):
    """Copy long rows of one split into another, possibly with small changes."""

    def spoil(study):
        rows, target = study.rows(source), study.rows(into)
        longest = sorted(rows, key=lambda row: -len(json.dumps(row)))[: number if number >= 1 else len(target) // 2]
        copies = json.loads(json.dumps(longest))
        for copy in copies:
            for message in copy["messages"][1:]:
                message["content"] = change(message["content"]) if change else message["content"]
        study.write(into, target[: max(0, len(target) - len(copies))] + copies)

    return spoil


def retyped(text):
    words = text.split(" ")
    return " ".join([words[0], *(word.replace("tion", "iton") for word in words[1:])]) + "!"


def shouted(text):
    return text.upper().replace(",", "")


def without_breaks(text):
    return re.sub(r"\s+", " ", text) + "  "


def answers_in_context(number, into="valid", meta=True):
    """Replies of a split occur in contexts of train: a conversation was cut in the middle."""

    def spoil(study):
        rows, target = study.rows("train"), study.rows(into)
        long = [position for position, row in enumerate(target) if len(row["messages"][-1]["content"]) > 40][:number]
        quotes = dict(zip(picked(rows, len(long)), long))
        for position, quoted in quotes.items():
            messages, said = rows[position]["messages"], target[quoted]["messages"][-1]["content"]
            if study.plan.form == "turns":
                messages[1:1] = [{"role": "user", "content": "and?"}, {"role": "assistant", "content": said}]
            else:
                messages[-2]["content"] = (
                    user_turn([(True, said)], study.owner, "plain") + "\n" + messages[-2]["content"]
                )
        study.write("train", rows)
        if not meta:
            (study.data / "meta.jsonl").unlink()
            return
        items = study.meta()
        replies = {item["row"]: item["reply_ids"] for item in items if item["split"] == into}
        for item in items:
            if item["split"] == "train" and item["row"] in quotes:
                item["context_ids"] = replies[quotes[item["row"]]] + item["context_ids"]
        write_jsonl(study.data / "meta.jsonl", items)

    return spoil


def divided_session(study):
    """The last session of train continues in valid, as when splitting by number of rows."""
    items = study.meta()
    last = [item["session"] for item in items if item["split"] == "train"][-1]
    first = next(item["session"] for item in items if item["split"] == "valid")
    for item in items:
        item["session"] = last if item["session"] == first else item["session"]
    write_jsonl(study.data / "meta.jsonl", items)


def random_split(study):
    """Rows shuffled, then split: sessions and their overlapping contexts end up in several splits."""
    together = list(zip([row for split in ALL for row in study.rows(split)], study.meta()))
    sizes = {split: len(study.rows(split)) for split in ALL}
    random.Random(4).shuffle(together)
    items = []
    for split, size in sizes.items():
        part, together = together[:size], together[size:]
        study.write(split, [row for row, _ in part])
        items += [item | {"split": split, "row": number} for number, (_, item) in enumerate(part)]
    write_jsonl(study.data / "meta.jsonl", items)


def cases():
    """Yield the arguments of `matrix.Case`."""
    warning = "warning"
    yield "train written twice", PLAIN, doubled(EVERY), "data.duplicates", warning
    yield "a third of train doubled", "persian-gemma", doubled(THIRD), "data.duplicates", warning
    yield "a row 30 times", "stock-chatml", one_row_often(30), "data.duplicates", warning, ("data.dominating_reply",)
    yield "most replies ok", "formal-smollm2", of_reply(lambda _: "ok", 0.6), "data.dominating_reply", warning
    spoil = of_reply(lambda _: "Sent from my phone, will answer later.", 0.5, ALL)
    follows = ("splits.reply_in_context",)
    yield "half of the replies a signature", "bilingual-llama3", spoil, "data.dominating_reply", warning, follows
    other = "You are a helpful assistant."
    spoil = in_text("system", lambda _: other, 0.5, ALL)
    yield "two system texts", PLAIN, spoil, "data.system_prompts", warning, ("data.system_differs",)
    spoil = in_rows(without_system, THIRD)
    follows = ("data.system_differs", "parity.default_system")
    yield "a third without a system text", "formal-smollm2", spoil, "data.system_prompts", warning, follows
    follows = ("data.system_differs",)
    yield "the date in the system text", "emoji-chatml_bos", dated_system, "data.system_prompts", warning, follows
    spoil = in_text("system", lambda _: other, EVERY, ("valid",))
    yield "another system text in valid", PLAIN, spoil, "data.system_differs", warning, ("data.system_prompts",)
    spoil = in_rows(without_system, EVERY, ("test",))
    yield "no system text in test", "hindi-mistral", spoil, "data.system_differs", warning, ("data.system_prompts",)
    yield "test wrapped, train not", PLAIN, other_form("test", "wrapped"), "data.user_form_differs", warning
    spoil = other_form("valid", "tagged")
    yield "valid tagged, train not", "emoji-chatml_bos", spoil, "data.user_form_differs", warning
    spoil = last_message_alone("valid")
    follows = ("parity.user_wrapper",)
    yield "only the last message in valid", "formal-smollm2", spoil, "data.user_form_differs", warning, follows


def split_cases():
    """The same for the family `splits`."""
    warning = "warning"
    related = ("splits.exact_duplicate", "splits.near_duplicate", "splits.reply_in_context", "splits.same_session")
    for what, study, number, into in (
        ("1 row of train in valid", PLAIN, 1, "valid"),
        ("6 rows of train in test", "persian-gemma", 6, "test"),
        ("half of valid out of train", "turns-llama3", 0.5, "valid"),
        ("1 row of train in test", "labels-qwen3", 1, "test"),
    ):
        yield what, study, copied(number, into), "splits.exact_duplicate", warning, related
    spoil = copied(2, "test", source="valid")
    yield "2 rows of valid in test", "formal-smollm2", spoil, "splits.exact_duplicate", warning, related
    for what, study, change in (
        ("retyped", PLAIN, retyped),
        ("in capitals, without commas", "formal-smollm2", shouted),
        ("with other blanks", "emoji-chatml_bos", without_breaks),
    ):
        check, follows = "splits.near_duplicate|splits.exact_duplicate", (*related, "data.user_form_differs")
        yield f"6 rows of train in valid, {what}", study, copied(6, "valid", change), check, warning, follows
    for study, number, meta in (
        (PLAIN, 2, True),
        (PLAIN, 4, False),
        ("persian-gemma", 4, True),
        ("turns-llama3", 4, True),
        ("turns-chatml", 4, False),
    ):
        name = f"{number} replies of valid in train's contexts ({study}{'' if meta else ', no meta.jsonl'})"
        yield name, study, answers_in_context(number, meta=meta), "splits.reply_in_context", warning, related
    yield "a session in two splits", PLAIN, divided_session, "splits.same_session", warning, related
    for study in ("formal-smollm2", "turns-chatml"):
        yield f"rows split at random ({study})", study, random_split, "splits.same_session", warning, related
