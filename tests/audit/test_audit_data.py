"""Files and rows: each fault under its own id, nothing on clean data of several kinds of people."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from conftest import cases, example
from ftstudy.audit import content, data, splits
from ftstudy.audit.content import characters
from ftstudy.audit.evidence import quoted
from ftstudy.audit.run_inputs import RunInputs
from ftstudy.chat_format.rows import read_split
from ftstudy.extract.variant_folder import origin_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx_lm.tuner import datasets
from mlx_lm.tuner.trainer import iterate_batches
from privacy.test_masking_table import MUST, MUST_NOT

SPLITS = ("train", "valid", "test")
TOPICS = "tent ladder invoice ticket passport lasagne charger projector tulips folder camera bike".split()
PLACES = "harbour library office bakery station garden".split()
ROWS = [
    example(user=f"Contact: is the {topic} at the {place}?\nSam: not yet\nContact: when?", reply=f"{place} by {at}")
    for at, (topic, place) in enumerate((topic, place) for place in PLACES for topic in TOPICS)
]


@pytest.fixture
def folder(tmp_path, write_split):
    for name in SPLITS:
        write_split(tmp_path / "data", name, ROWS)
    return tmp_path / "data"


def inputs_of(folder, tokenizer, owner="Sam", **config):
    config = {"model": "tiny", "config": "config.yaml", "batch_size": 2, "mask_prompt": True} | config
    found = {name: read_split(folder, name, config) for name in SPLITS if (folder / f"{name}.jsonl").is_file()}
    inputs = RunInputs(config, {}, folder, found, None, owner)
    inputs.tokenizer = tokenizer
    return inputs


def structure(folder, **config):
    return {(item.check, item.severity) for item in data.check(inputs_of(folder, None, **config))}


@pytest.fixture
def texts(tmp_path, write_split, tokenizer):
    """The findings on the contents of rows, the same in all splits unless given: a set of (check, severity);
    in full they are in `texts.found`."""

    def check(rows, owner="Sam", **others):
        for name in SPLITS:
            write_split(tmp_path / "texts", name, others.get(name, rows))
        found = content.check(inputs_of(tmp_path / "texts", tokenizer, owner))
        assert all(item.check in {check.id for check in content.CHECKS} for item in found)
        check.found = found
        return {(item.check, item.severity) for item in found}

    return check


def changed(change, at=-1, rows=ROWS):
    """The rows with one message changed."""
    rows = json.loads(json.dumps(rows))
    for row in rows:
        row["messages"][at]["content"] = change(row["messages"][at]["content"])
    return rows


# --- files and lines ------------------------------------------------------------------------


def test_clean_files_have_no_findings(folder):
    assert structure(folder) == set()
    assert data.check_data(folder, 2) == []


ERRORS = {
    "no files": (lambda folder: [file.unlink() for file in folder.iterdir()], "data.empty"),
    "another name": (lambda folder: (folder / "train.jsonl").rename(folder / "training.jsonl"), "data.no_train"),
    "nothing in test": (lambda folder: (folder / "test.jsonl").write_bytes(b""), "data.zero_bytes"),
    "blank line in test": (lambda folder: (folder / "test.jsonl").open("a").write("\n"), "data.blank_line"),
    "Windows' blank line": (lambda folder: (folder / "train.jsonl").open("ab").write(b"\r\n"), "data.blank_line"),
    "Python's quotes": (lambda folder: (folder / "valid.jsonl").open("a").write("{'a': 1}\n"), "data.bad_json"),
    "byte order mark": (lambda folder: recode(folder / "train.jsonl", "utf-8-sig"), "data.bad_json"),
    "UTF-16": (lambda folder: recode(folder / "test.jsonl", "utf-16"), "data.bad_json"),
    "Latin-1": (lambda folder: (folder / "train.jsonl").open("ab").write(b'{"text": "\xe9"}\n'), "data.bad_json"),
    "no known keys first": (
        lambda folder: put_first(folder / "test.jsonl", {"conversations": []}),
        "data.bad_messages",
    ),
    "a number first": (lambda folder: put_first(folder / "train.jsonl", 7), "data.bad_messages"),
}


def recode(path, encoding):
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))


def put_first(path, row):
    path.write_text(json.dumps(row) + "\n" + path.read_text())


@pytest.mark.parametrize("spoil, check", ERRORS.values(), ids=ERRORS)
def test_files_that_mlx_lm_cannot_open_are_errors(folder, spoil, check):
    spoil(folder)
    assert (check, "error") in structure(folder)
    # Should mlx-lm become more tolerant, this says so.
    with pytest.raises((ValueError, IndexError, TypeError)):
        settings_of = SimpleNamespace(train=True, test=False, data=folder, hf_dataset=False, mask_prompt=True)
        datasets.load_dataset(settings_of, None)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_all_line_endings_that_mlx_lm_reads_are_fine(folder, line_end):
    for name in SPLITS:
        path = folder / f"{name}.jsonl"
        path.write_bytes(path.read_bytes().replace(b"\n", line_end))
    assert structure(folder) == set()
    assert len(datasets.load_local_dataset(folder, None, SimpleNamespace(mask_prompt=True))[0]) == len(ROWS)


def test_missing_folder_and_file_instead_of_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "file"):
        assert structure(tmp_path / name) == {("data.missing", "error")}


@pytest.mark.parametrize(
    "saved", [b"[1,2]", b'"x"', b'{"owner":5}', b'{"owner":null}', b"[" * 100_000, b"\xff", b'{"owner":"\\ud83d"}']
)
def test_empty_or_damaged_origin(tmp_path, saved):
    (tmp_path / "origin.json").write_bytes(saved)
    assert origin_of(tmp_path) == {}


def test_folder_with_only_hidden_files_is_empty(tmp_path):
    (tmp_path / ".DS_Store").write_text("x")
    assert structure(tmp_path) == {("data.empty", "error")}


def test_missing_splits(folder):
    (folder / "valid.jsonl").unlink()
    (folder / "test.jsonl").unlink()
    assert structure(folder) == {("data.no_valid", "warning")}
    assert structure(folder, test=True) == {("data.no_valid", "warning"), ("data.no_test", "error")}


def test_folder_is_not_checked_with_hf_dataset(tmp_path):
    assert structure(tmp_path / "nowhere", hf_dataset={"path": "a/b"}) == {("data.schema", "info")}


# --- rows -----------------------------------------------------------------------------------

COMPLETION = {"prompt": "Contact: hey", "completion": "yo"}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": []},
        {"messages": "hey"},
        {"messages": ["hey"]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"content": "hey"}]},
        {"messages": [{"role": "user", "content": "\ud83d"}]},
        [],
        {},
    ],
)
def test_rows_that_the_trainer_cannot_take(folder, write_split, row):
    write_split(folder, "train", [*ROWS, row])
    assert structure(folder) == {("data.bad_messages", "error")}


def test_bad_later_row_of_test_is_an_error_only_if_the_run_tests(folder, write_split):
    write_split(folder, "test", [*ROWS, {}])
    assert structure(folder) == {("data.bad_messages", "warning")}
    assert structure(folder, test=True) == {("data.bad_messages", "error")}


@pytest.mark.parametrize("rows", [[*ROWS, COMPLETION], [COMPLETION, *ROWS], [*ROWS, {"text": "hey"}]])
def test_two_schemas_in_one_file(folder, write_split, rows):
    write_split(folder, "train", rows)
    assert ("data.mixed_schemas", "error") in structure(folder)


def test_two_schemas_in_different_files(folder, write_split):
    write_split(folder, "valid", [COMPLETION] * 4)
    assert structure(folder) == {("data.mixed_schemas", "warning")}


def test_plain_text_is_reported_and_cannot_be_masked(folder, write_split):
    for name in SPLITS:
        write_split(folder, name, [{"text": "Contact: hey\nSam: yo"}] * 4)
    assert structure(folder, mask_prompt=False) == {("data.schema", "info")}
    assert ("data.mixed_schemas", "error") in structure(folder, mask_prompt=True)


def test_prompt_and_completion_become_the_conversation_mlx_lm_makes(folder, write_split, tokenizer):
    pairs = [COMPLETION | {"messages": "not read"}, {"prompt": "Contact: where?", "completion": "home"}]
    for name in SPLITS:
        write_split(folder, name, pairs)
    chats = [row["messages"] for _, row in read_split(folder, "train").chats()]
    read = datasets.CompletionsDataset(pairs, tokenizer, "prompt", "completion", False)
    made = [tokenizer.apply_chat_template(messages, return_dict=False) for messages in chats]
    assert made == [read.process(pair)[0] for pair in pairs]
    assert structure(folder) == {("data.schema", "info")}  # the messages beside them are not trained


def test_renamed_keys_are_followed(folder, write_split):
    config = {"chat_feature": "turns"}
    for name in SPLITS:
        write_split(folder, name, [{"turns": row["messages"]} for row in ROWS])
    assert structure(folder, **config) == set()
    assert len(list(read_split(folder, "train", config).chats())) == len(ROWS)


@pytest.mark.parametrize("size", [0, -1, None, "two", 2.5])
def test_invalid_batch_size_is_left_to_the_config_checks(folder, size):
    assert structure(folder, batch_size=size) == set()


def test_fewer_rows_than_one_batch(folder, write_split):
    write_split(folder, "valid", ROWS[:1])
    write_split(folder, "test", ROWS[:1])
    found = [item.where.rpartition("/")[2] for item in data.check(inputs_of(folder, None))]
    assert found == ["valid.jsonl"]  # test is not evaluated
    found = [item.where.rpartition("/")[2] for item in data.check(inputs_of(folder, None, test=True))]
    assert found == ["valid.jsonl", "test.jsonl"]


@pytest.mark.parametrize("number, severity", [(62, "info"), (8, "warning")])
def test_unused_rows_are_those_that_mlx_lm_skips(folder, write_split, number, severity):
    # mlx-lm sorts by the number of keys in a row.
    rows = [row | {"id": at} if at % 5 == 0 else row for at, row in enumerate(ROWS[:number])]
    write_split(folder, "train", rows)
    (item,) = [item for item in data.check(inputs_of(folder, None, batch_size=5)) if "train" in item.where]
    assert (item.check, item.severity) == ("data.tail_rows", severity)

    class Rows(list):
        def process(self, row):
            return [rows.index(row)], 0

    batches = iterate_batches(datasets.CacheDataset(Rows(rows)), 5, 100)
    used = {int(row) for batch, _ in batches for row in batch[:, 0].tolist()}
    left = ", ".join(str(at + 1) for at in range(number) if at not in used)
    assert item.evidence[0] == f"lines {left}"


# --- who speaks, and whether anything is said -----------------------------------------------


def turns(*roles, said="hey there"):
    return {"messages": [{"role": role, "content": f"{said} {at}"} for at, role in enumerate(roles)]}


def test_clean_contents_have_no_findings(texts):
    assert texts(ROWS) == set()


@pytest.mark.parametrize(
    "roles, found",
    [
        (("system", "human", "gpt"), {("data.roles", "error")}),
        (("User", "assistant"), {("data.roles", "error")}),
        (("user", "system", "assistant"), {("data.roles", "error")}),
        (("system", "assistant", "user", "assistant"), {("data.roles", "error")}),
        (("assistant",), {("data.roles", "error")}),
        (("user", "user", "assistant"), {("data.roles", "warning")}),
        (("user", "assistant", "assistant"), {("data.roles", "warning")}),
        (("system", "user"), {("data.last_role", "error")}),
        (("user", "assistant", "system"), {("data.roles", "error"), ("data.last_role", "error")}),
        (("user", "assistant", "tool", "assistant"), set()),
        (("user", "assistant", "user", "assistant"), set()),
    ],
)
def test_order_of_roles(texts, roles, found):
    odd = turns(*roles)
    assert {item for item in texts([*ROWS, odd]) if item[0] != "data.system_prompts"} == found


def test_roles_named_in_the_template_are_known(tmp_path, write_split, tokenizer):
    for name in SPLITS:
        write_split(tmp_path, name, [turns("developer", "user", "assistant")] * 2)
    for template, found in ((None, ["data.roles"]), ("{% if role == 'developer' %}", [])):
        assistant = SimpleNamespace(chat_template=template, added_tokens_decoder={})
        inputs = inputs_of(tmp_path, assistant)
        assert [item.check for item in content.check(inputs)] == found


BLANK = [
    "",
    " \n",
    "\u200b",
    "\ufffc",
    "\u200d\ufe0f",
    "\x00",
    "\x7f",
    *"\u115f\u1160\u3164\u034f\u180e\u061c\u2061\u2069\U000e0041",
]


@pytest.mark.parametrize("reply", BLANK)
def test_empty_reply(texts, reply):
    assert texts([*ROWS, example(reply=reply)]) == {("data.empty_reply", "error")}


@pytest.mark.parametrize("user", ["", "\n\t", "Contact: ", "Sam: \nContact:"])
def test_empty_user_turn(texts, user):
    assert texts([*ROWS, example(user=user)]) == {("data.empty_user", "error")}


@pytest.mark.parametrize(
    "text", ["👍", "1️⃣", "❤️", "…", "́", "ㅋ", "ー", "?", "[photo]", "Contact: :)", "Contact: why:", ":)"]
)
def test_shortest_texts_are_not_empty(texts, text):
    assert texts([*ROWS, example(user=text), example(reply=text.removeprefix("Contact: "))]) == set()


# --- speaker tags ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    cases("""
        Sam: yo | sam : yo | Contact: yo | **Sam:** yo | [Sam]: yo | [Me]: yo | <Sam> yo
        [12/05/21, 10:33:02] Sam: yo | Assistant: yo
    """)
    + ["<|im_start|>assistant\nyo", "### Response:\nyo", "yo\nContact: haha\nSam: what"],
)
def test_speaker_before_a_reply(texts, reply):
    assert ("data.speaker_tag", "error") in texts([*ROWS, example(reply=reply)])


@pytest.mark.parametrize(
    "reply",
    cases("""
        note: buy milk | re: dinner | https://example.org/a:b | D: no way | PS: call me | Mum: that was all she said
        Address: 12 Mill Road | Reply: yes to the invitation | 10:30 works | [photo] look | (lol) fine | <3 you
        Samantha: she is the one
    """)
    + ["Monday: gym\nTuesday: work", "user: admin\npassword: hunter2"],
)
def test_labels_and_times_are_not_speakers(texts, reply):
    quoted = example(user="Contact: look\nMum: she said\nnote: this", reply="ok")
    assert texts([*ROWS, quoted, example(reply=reply, user="Contact: hm\nMum: so\nnote: this\nPS: that")]) == set()


@pytest.mark.parametrize(
    "system, user, owner, reply",
    [
        ("You are نیلوفر.", "دوست: سلام", "نیلوفر", "نیلوفر: سلام"),
        ("Text like Dr. Eleanor Whitcombe.", "Ann: hi", "Dr. Eleanor Whitcombe", "Eleanor: Good evening."),
        ("你是小明。", "妈妈：吃了吗", "小明", "小明：吃了"),
        ("You are jo, a nurse.", "hey", "the owner", "jo: hi"),
        ("Write as Maria would.", "hey", "the owner", "Maria: hi"),
    ],
)
def test_speakers_with_any_name(texts, system, user, owner, reply):
    rows = [example(system, f"{user} {at}", f"hm {at}") for at in range(10)]
    assert texts(rows, owner) == set()
    assert texts([*rows, example(system, user, reply)], owner) == {("data.speaker_tag", "error")}


def test_a_speaker_who_is_a_number_is_an_identifier_too(texts):
    system, user, reply = "Short texts.", "+1 212 555 0101: hey", "+1 212 555 0101: hi"
    rows = [example(system, f"{user} {at}", f"hm {at}") for at in range(10)]
    number = ("data.identifiers", "warning")
    assert texts(rows, "the owner") == {number}
    assert texts([*rows, example(system, user, reply)], "the owner") == {("data.speaker_tag", "error"), number}


@pytest.mark.parametrize(
    "text, shown",
    [
        ("call +49 176 12345678 later", 'long number, assistant: "+49 ••• ••••••78"'),
        ("ruf 0176‑12345678 an", 'long number, assistant: "01••‑••••••78"'),
        ("رقمي ٠١٠٠ ١٢٣ ٤٥٦٧", "٠١•• ••• ••٦٧"),
        ("anna.b@mail.example.org", 'e-mail address, assistant: "a•••••@••••••••••••.org"'),
        ("sk-proj-abcDEF1234567890abcDEF1234567890", 'key, assistant: "sk-'),
        ("see https://example.org/?token=abcdef123", "secret in a link"),
        ("DE89 3704 0044 0532 0130 00", 'account number, assistant: "DE•• ••••'),
        ("4111 1111 1111 1111", 'long number, assistant: "41•• •••• •••• ••11"'),
        ("ssh 93.184.216.34", 'network address, assistant: "93.•••'),
        ("at 52.520008, 13.404954", "coordinates"),
        ("https://example.org/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgVE2upms", "random text"),
    ],
)
def test_identifiers_are_counted_and_never_shown_whole(texts, text, shown):
    assert texts([*ROWS, example(reply=text)]) == {("data.identifiers", "warning")}
    (found,) = texts.found
    assert shown.replace('"', "") in "\n".join(found.evidence).replace('"', "") and "•" in found.evidence[0]
    assert text not in str(found) and "your rows" in found.fix
    assert all(
        part not in "".join(found.evidence) for part in ("12345678", "١٢٣", "mail.example", "abcdef", "3704", "184")
    )


@pytest.mark.parametrize("text", [one for _, _, one, _ in MUST_NOT])
def test_what_identifies_nobody_is_not_counted(text):
    assert content.identifiers.identifiers(text) == ()


def test_masked_rows_have_no_identifier_left():
    assert not [masked for *_, masked in MUST if content.identifiers.identifiers(masked)]


@pytest.mark.parametrize("reply", ["Sam - yo", "Sam — yo", "Sam | yo", "SAM: yo", "assistant\nyo"])
@pytest.mark.parametrize("owner", ["Sam", "the owner"])
def test_other_ways_to_write_a_speaker(texts, reply, owner):
    rows = [example("You are Sam. Write Sam's reply.", f"Contact: hm {at}", f"ok {at}") for at in range(10)]
    assert texts([*rows, example(rows[0]["messages"][0]["content"], "hey", reply)], owner) == {
        ("data.speaker_tag", "error")
    }


@pytest.mark.parametrize(
    "reply", ["Ann - are you there?", "ok - fine", "No — never", "Contact | Impressum", "NO: never"]
)
def test_dash_after_a_word_is_not_a_speaker(texts, reply):
    rows = [example("You are Sam and text with Ann, no names.", f"Ann: hm {at}", f"ok {at}") for at in range(10)]
    assert texts([*rows, example(rows[0]["messages"][0]["content"], "Ann: hey", reply)]) == set()


def test_speakers_of_many_rows_are_known_in_the_others(texts):
    rows = [{"messages": row["messages"][1:]} for row in ROWS]
    alone = {"messages": [{"role": "user", "content": "Contact: hi"}, {"role": "assistant", "content": "Sam: yo"}]}
    assert texts([*rows, alone], "the owner") == {("data.speaker_tag", "error")}
    dashed = changed(lambda text: f"Sam - {text}", rows=rows)
    assert texts(dashed, "the owner") == {("data.speaker_tag", "error")}


def test_label_in_only_one_split(texts):
    assert texts(ROWS, valid=changed("Me: {}".format, rows=ROWS[:10])) == {("data.speaker_tag", "error")}
    assert texts(ROWS, train=changed("Me: {}".format, rows=ROWS[:6]) + ROWS[6:]) == {("data.speaker_tag", "error")}
    assert texts(ROWS, train=changed("Me: {}".format, rows=ROWS[:2]) + ROWS[2:]) == set()  # a joke of two lines


@pytest.mark.parametrize("label", ["Reply", "Answer", "mood", "Stimmung", "escalate to orchestrator"])
def test_a_label_before_many_replies_is_a_format_unless_a_speaker_is_called_that(texts, label):
    rows = [example("Write a reply.", f"hey {at}", f"{label}: {at}") for at, _ in enumerate(ROWS)]
    assert texts(rows) == {("data.speaker_tag", "info")}
    assert texts(rows, owner=label) == {("data.speaker_tag", "error")}


# --- the same, and not the same -------------------------------------------------------------


def test_copies_of_rows(texts):
    assert texts(ROWS + ROWS) == {("data.duplicates", "warning")}
    assert texts(ROWS + [example(user="Contact: " + " ".join(TOPICS + PLACES))] * 4) == {("data.duplicates", "warning")}


def test_small_talk_may_repeat(texts):
    assert texts(ROWS + [example(user="Contact: hey", reply="yo")] * 4) == set()
    many = [example(user=f"Contact: number {at}?", reply=f"no {at}") for at in range(700)]
    assert texts(many, train=many + [example(user="Contact: hey", reply="yo")] * 30) == set()
    assert texts(many, train=many + [example(user="Contact: hey", reply="yo")] * 60) == {("data.duplicates", "warning")}


def test_a_single_copy_of_a_long_row_is_found(texts):
    row = example(user="Contact: " + " ".join(TOPICS + PLACES))
    assert texts([*ROWS, row, row]) == {("data.duplicates", "warning")}


def test_dominating_reply(texts):
    def rows(times):
        return [
            example(user=row["messages"][1]["content"], reply="Lol " if at < times else f"yes {at}")
            for at, row in enumerate(ROWS[:40])
        ]

    assert texts(rows(9)) == {("data.dominating_reply", "warning")}
    assert texts(rows(8)) == set()
    assert texts(rows(9)[:10]) == set()  # too few rows to say
    assert texts(rows(12)[:16]) == {("data.dominating_reply", "warning")}


def test_spellings_of_one_reply_count_together(texts):
    rows = changed(lambda text: text, rows=ROWS[:40])
    for row, reply in zip(rows, ["OK!", "Ok", "ok.", "ok"] * 3):
        row["messages"][-1]["content"] = reply
    assert texts(rows) == {("data.dominating_reply", "warning")}
    assert '"OK!"' in texts.found[0].title


def test_system_texts_within_a_file(texts):
    other = [example("You are a helpful assistant.", row["messages"][1]["content"], "ok then") for row in ROWS[:3]]
    assert texts(ROWS, train=ROWS[3:] + other) == {("data.system_prompts", "warning")}
    without = [{"messages": row["messages"][1:]} for row in ROWS]
    assert texts(ROWS, train=ROWS[3:] + without[:3]) == {("data.system_prompts", "warning")}
    assert texts(without) == set()
    texts(ROWS, train=[*ROWS[:3], without[3], *ROWS[4:]])
    assert "has 1 system text, and 1 row without one" in texts.found[0].title
    assert texts.found[0].evidence[1] == "1 row (line 4): no system message"


def test_few_conversations_in_a_file_of_another_schema_are_ignored(texts):
    odd = [COMPLETION | {"messages": ROWS[0]["messages"][1:]}]
    assert texts(ROWS, train=odd + ROWS) == set()


def test_system_texts_between_files(texts):
    without = [{"messages": row["messages"][1:]} for row in ROWS]
    assert texts(ROWS, valid=without) == {("data.system_differs", "warning")}
    assert texts(without, train=ROWS) == {("data.system_differs", "warning")}


def test_one_persona_per_row_is_not_a_difference_between_files(texts):
    def rows(start):
        return [
            example(f"You are Sam. You text friend {start + at}.", row["messages"][1]["content"], f"yes {at}")
            for at, row in enumerate(ROWS)
        ]

    assert texts(rows(0), valid=rows(500)) == {("data.system_prompts", "warning")}


# --- the form of the user turn --------------------------------------------------------------


def wrapped(text):
    return f"Context:\n{text}\n\nLast Message: {text.splitlines()[-1].partition(': ')[2]}"


FORMS = {
    "tagged": lambda text: f"<conversation>\n{text}\n</conversation>",
    "wrapped": wrapped,
    "last message alone": lambda text: text.splitlines()[-1].partition(": ")[2],
    "last line alone": lambda text: text.splitlines()[-1],
    "an instruction before": lambda text: f"Reply to this chat:\n{text}",
    "an instruction behind": lambda text: f"{text}\nSam:",
    "times": lambda text: "\n".join(f"[10:31] {line}" for line in text.splitlines()),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_user_turns_with_another_layout(texts, form, split):
    other = [example(user=form(row["messages"][1]["content"]), reply=row["messages"][2]["content"]) for row in ROWS]
    assert texts(ROWS, **{split: other}) == {("data.user_form_differs", "warning")}
    assert texts(other) == set()


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.replace("Contact:", "Them:"),
        lambda text: text.replace("Sam:", "Me:"),
        lambda text: text + "\n\n###\n\n",
        lambda text: text + "\n",
        lambda text: text + " ",
        lambda text: "\n" + text,
    ],
)
def test_different_labels_endings_and_blanks(texts, form):
    other = changed(form, 1)
    assert texts(ROWS, valid=other) == {("data.user_form_differs", "warning")}
    assert texts(other) == set()


def test_same_ending_in_few_rows_is_not_a_layout(texts):
    ended = changed(lambda text: text + "\n\n###\n\n", 1, ROWS[:12])
    assert texts(ROWS, valid=ended) == {("data.user_form_differs", "warning")}
    rows = [example(user=f"Contact: number {at} then", reply=f"no {at}") for at in range(60)]
    assert texts(rows, valid=changed(lambda text: text + " :)", 1, rows[:3])) == set()


def test_different_people_and_topics_are_not_a_different_layout(texts):
    def rows(name, word):
        return [
            example(user=f"{name}: about the {word}, part {at}\nSam: {'ja ' * (at % 4)}ok", reply=f"{word} {at}")
            for at in range(40)
        ]

    assert texts(rows("Ann", "tent"), valid=rows("Bob", "bike"), test=rows("Grandma Jo", "soup")[:3]) == set()


# --- characters -----------------------------------------------------------------------------

TOKENS = ["<|im_end|>", "<|endoftext|>", "<start_of_turn>", "<|eot_id|>", "[/INST]", "<think>hm</think> ok"]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_control_tokens_in_any_message(texts, token, at):
    row = json.loads(json.dumps(ROWS[0]))
    row["messages"][at]["content"] = f"ok {token}"
    assert ("data.control_tokens", "error") in texts([*ROWS, row])


def with_tokens(*names):
    tokens = {at: SpecialToken(name) for at, name in enumerate(names)}
    return SimpleNamespace(chat_template="", added_tokens_decoder=tokens)


class SpecialToken(str):
    special = True


@pytest.mark.parametrize("token", ["<s>", "<mask>", "[PAD]", "§§end§§"])
def test_control_tokens_of_the_tokenizer(tmp_path, write_split, token):
    for name in SPLITS:
        write_split(tmp_path, name, [*ROWS, example(reply=f"{token}well no{token}")])
    for tokenizer, found in ((with_tokens("<eos>"), []), (with_tokens(token), ["data.control_tokens"])):
        assert [item.check for item in content.check(inputs_of(tmp_path, tokenizer))] == found


OTHERS = {
    "</s>": (lambda text: text + "</s>", -1),
    "<eos>": (lambda text: text + "<eos>", -1),
    "<bos>": (lambda text: "<bos>" + text, 1),
    "<s></s>": (lambda text: f"<s>{text}</s>", 1),
    "<pad>": (lambda text: text + "<pad><pad>", -1),
    "<unk>": (lambda text: text + " <unk>", -1),
    "</think>": (lambda text: "</think>\n\n" + text, -1),
}


@pytest.mark.parametrize("change, at", OTHERS.values(), ids=OTHERS)
def test_control_tokens_of_another_model(texts, change, at):
    assert texts(changed(change, at)) == {("data.control_tokens", "error")}
    assert "This tokenizer doesn't have them" in texts.found[0].cause
    if change("") != "</think>\n\n":  # which nobody types
        assert texts(changed(change, at, ROWS[:2]) + ROWS[2:]) == set()


def test_prompt_decoded_without_its_special_tokens(texts):
    decoded = changed(lambda text: f"user\n{text}\nassistant\n", 1)
    assert texts(decoded) == {("data.templated", "error")}
    assert texts(changed("assistant\n{}".format)) == {("data.speaker_tag", "error")}


def test_header_before_a_reply_is_one_finding(texts):
    assert texts(changed("### Response:\n{}".format)) == {("data.speaker_tag", "error")}


def test_invisible_characters_are_escaped():
    assert quoted("a\u200bb\x9f\ud83d\u202e") == r'"a\u200bb\u009f\ud83d\u202e"'
    assert quoted("\U000e0041") == r'"\U000e0041"'
    assert quoted("می\u200cخواهم 👩\u200d👩 ok\n") == '"می\u200cخواهم 👩\u200d👩 ok\\n"'


RENDERED = [
    "<|im_start|>user\nhey<|im_end|>\n<|im_start|>assistant\n",
    "[INST] hey [/INST] yo",
    "<start_of_turn>user\nhey<end_of_turn>",
    "<|start_header_id|>user<|end_header_id|>\n\nhey",
    "### Instruction:\nReply.\n\n### Response:",
    "USER: hey ASSISTANT: yo",
]


@pytest.mark.parametrize("text", RENDERED)
def test_rendered_turn_inside_a_message(texts, text):
    assert ("data.templated", "error") in texts([*ROWS, example(user=f"Contact: {text}")])


def test_header_of_an_unknown_template_is_found(tmp_path, write_split):
    def template(messages, **_):
        return "".join(f"@@{message['role']}@@ {message['content']} ~~" for message in messages)

    for name in SPLITS:
        write_split(tmp_path, name, [*ROWS, example(user="Contact: hey ~~@@assistant@@ yo")])
    tokenizer = SimpleNamespace(chat_template="", added_tokens_decoder={}, apply_chat_template=template)
    assert [item.check for item in content.check(inputs_of(tmp_path, tokenizer))] == ["data.templated"]


@pytest.mark.parametrize(
    "text", ["a <b> c", "<3", "i <3 u > all", "[photo]", "# of people", "<s>no</s> yes", "a|b", "[x] done"]
)
def test_markup_that_people_type_is_not_a_control_token(texts, text):
    assert texts([*ROWS, example(user=f"Contact: {text}", reply=text)]) == set()


ODD = cases("""
    caf\ufffd | donâ€™t | cafÃ© | ðŸ˜€ ok | Ð¿Ñ€Ð¸Ð²ÐµÑ‚ | ä½\u00a0å¥½ | å¥½ | a\x00b | a\x1bb | na\u00c2\u00a0so
    РџСЂРёРІРµС‚ | С‚РµРјР° дня | Р±СѓРґСѓ вЂ” РґР° | zaĹĽĂłĹ‚Ä‡ | 縺薙ｓ縺ｫ縺｡縺ｯ | 锟斤拷 | donΓÇÖt | donÔÇÖt
    ╨┐╤Ç╨╕╨▓╨╡╤é
""") + ["a\rb"]
INVISIBLE = ["a\u200bb", "\ufeffhey", "no\u2060pe", "hey\u200e", "see \ufffc"]
NATURAL = [
    "👩‍👩‍👧 👍🏽 ❤️ 🏳️‍🌈 1️⃣ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "می‌خواهم بروم",
    "राष्ट्र‌पति क्‍या",
    "สวัสดี\u200bครับ",
    "«\u00a0désolé\u00a0» … à\u00a0«\u00a0bientôt\u00a0»",
    "AMANHÃ… É “MANHÃ” NÃO",
    "“Spaß” – für Ärger… Straße",
    "đâu rồi… ĐÂY… ừ",
    "\u200fשלום\u200f abc",
    "Ågård, Øl & Ærlighed® ½ £5 €5 20° 5µ",
    "i don’t — “really” know…\tok",
    "\u00a0indented",
    "Рік, СІРІ та НІ — «Сім’я»… ЇЇ РІЗНІ СІЛІ",
    "Рёбра С\u00a0Рождеством! Сёстры №5 — “да”…",
    "Сјајно, Рђ Љубав и Њушка",
    "ZAŻÓŁĆ GĘŚLĄ JAŹŃ “Łódź” ĂŞ Äpfel ČŽ",
    "縺れた糸を解く、日本語です",
    "├── src\n│   └── a.py\n╔══╗ ░▒▓ ═╤═╤═ Γ = 2π",
    "联通 你好，今天天气怎么样？",
]


@pytest.mark.parametrize("text", ODD)
def test_wrong_encodings_are_found(texts, text):
    assert texts([*ROWS, example(reply=text)]) == {("data.odd_characters", "warning")}


@pytest.mark.parametrize("text", INVISIBLE)
def test_invisible_characters_in_few_rows_are_an_info(texts, text):
    assert texts([*ROWS, example(reply=text)]) == {("data.odd_characters", "warning")}
    many = [example(user=f"Contact: number {at}?", reply=f"no {at}") for at in range(700)]
    assert texts(many, train=[*many, example(reply=text)]) == {("data.odd_characters", "info")}


@pytest.mark.parametrize("text", NATURAL)
def test_scripts_emoji_and_typography_are_not_odd(texts, text):
    assert texts([*ROWS, example(user=f"Contact: {text}", reply=text)]) == set()


@given(st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=60))
def test_any_western_text_read_as_latin1_is_found(text):
    broken = f"{text} für dich".encode().decode("latin-1")
    assert "text in a wrong encoding" in characters.odd_characters(broken)


# --- any data at all ------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["Sam: ", "Contact: ", "\n", "<|im_start|>", "<think>", "\u200b", "\ud83d", "Ã©", "[INST]", "[/INST]", ":", "<", "x y z"]
) | st.text(max_size=8)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.lists(PIECES, max_size=5).map("".join),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MESSAGE = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["system", "user", "assistant"]) | VALUES, "content": VALUES}
)
ROW = st.fixed_dictionaries(
    {},
    optional={key: VALUES for key in ("prompt", "completion", "text", "tools")}
    | {"messages": st.lists(MESSAGE, max_size=4) | VALUES},
)
META = st.fixed_dictionaries(
    {"split": st.sampled_from(SPLITS) | VALUES, "row": st.integers(0, 3) | VALUES},
    optional={key: VALUES for key in ("conversation", "session", "context_ids", "reply_ids")},
)
LINES = st.binary(max_size=30) | (ROW | META | VALUES).map(lambda row: json.dumps(row).encode())
FILES = st.lists(LINES, max_size=5).map(b"\n".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.tuples(FILES, FILES, FILES, FILES), size=VALUES | st.integers(1, 3))
def test_checks_never_raise_whatever_the_bytes(tmp_path, tokenizer, files, size):
    for name, saved in zip((*SPLITS, "meta"), files):
        (tmp_path / f"{name}.jsonl").write_bytes(saved)
    inputs = inputs_of(tmp_path, tokenizer, batch_size=size)
    for family in (data, content, splits):
        for item in family.check(inputs):
            assert item.severity in {check.id: check.severities for check in family.CHECKS}[item.check]
            assert len(item.evidence) <= 6 and all(len(line) <= 200 for line in item.evidence)
            json.dumps(asdict(item), ensure_ascii=False).encode()  # can be written to a file
