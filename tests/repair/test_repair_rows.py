"""Repairs of rows: what is wrong with a row is taken out of it, and nothing else."""

import copy

import pytest
from ftstudy.audit.run_inputs import RunInputs
from ftstudy.repair.kinds import repaired
from ftstudy.repair.rows import AGAIN, REPAIRS
from hostile import RUNS, VALUES
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlx_lm.lora import CONFIG_DEFAULTS

ALL = [*REPAIRS, *AGAIN]
BY_ID = {repair.id: repair for repair in REPAIRS}


def inputs_of(folder, owner="Sam", **config):
    config = CONFIG_DEFAULTS | {"model": "tiny", "data": str(folder), "config": "config.yaml"} | config
    return RunInputs(config=config, given={}, folder=folder, splits={}, profile=None, owner=owner)


@pytest.fixture
def inputs(tiny, tmp_path):
    return inputs_of(tmp_path)


def turns(*contents):
    return {"messages": [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(contents)]}


def said(*pairs):
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


def draft_of(*rows, config=None, **splits):
    rows = splits or {"train": list(rows)}
    return {"config": config or {"model": "tiny"}, "rows": rows, "profile": None, "read": {}, "why": {}, "rendered": {}}


def fixed(inputs, repair_id, draft):
    """The draft after one repair, which leaves the one given as it is and has nothing to do the second time."""
    before = copy.deepcopy(draft)
    made, notes = BY_ID[repair_id].apply(draft, inputs)
    assert draft["rows"] == before["rows"]
    again, more = BY_ID[repair_id].apply(made, inputs)
    assert again == made and more == []
    return made["rows"], notes


GOOD = [turns("Ann: dinner at eight?", "yes pls"), turns("Ann: bring the blue one", "on my way")]


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.id)
def test_good_rows_stay_as_they_are(repair, inputs):
    draft = draft_of(*GOOD)
    assert repair.apply(draft, inputs) == (draft, [])


CASES = [
    ("empty_turns", turns("Ann: hey", " "), None),
    ("empty_turns", turns("\u200b", "yes"), None),
    ("empty_turns", turns("Ann: hey", "", "Ann: there?", "yes"), turns("Ann: hey\nAnn: there?", "yes")),
    ("empty_turns", turns("Ann: hey", "yo", " ", "you there?"), turns("Ann: hey", "yo")),
    ("empty_turns", turns("Ann: hey", "yo", "Ann: and?", ""), turns("Ann: hey", "yo")),
    ("nothing_trained", turns("Ann: hey", "yo", "Ann: ok"), turns("Ann: hey", "yo")),
    ("nothing_trained", turns("Ann: hey"), None),
    ("speaker_tags", turns("Ann: hey", "Sam: yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "assistant: yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "<|assistant|>yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "yo\nSam: there\nAnn: ok?\nSam: no"), turns("Ann: hey", "yo\nthere")),
    ("data.odd_characters", turns("Ann: hey", "canâ€™t make it"), turns("Ann: hey", "can’t make it")),
    ("data.odd_characters", turns("Ann: hey", "a\x07b\r\nc"), turns("Ann: hey", "ab\nc")),
    ("data.roles", said(("user", "a"), ("user", "b"), ("assistant", "c")), turns("a\nb", "c")),
    ("data.roles", said(("human", "a"), ("gpt", "c")), turns("a", "c")),
    ("data.roles", said(("ann", "a"), ("sam", "c")), turns("a", "c")),
    ("data.roles", said(("assistant", "hm"), ("user", "a"), ("assistant", "c")), turns("a", "c")),
    ("data.roles", said(("assistant", "a")), None),
    ("same_rows", None, None),
]  # fmt: skip


@pytest.mark.parametrize("repair_id, bad, right", CASES[:-1])
def test_a_bad_row_is_repaired_and_the_others_stay(repair_id, bad, right, inputs):
    rows, notes = fixed(inputs, repair_id, draft_of(GOOD[0], bad, GOOD[1]))
    assert rows == {"train": [GOOD[0], *[right] * (right is not None), GOOD[1]]}
    assert notes


def test_the_first_of_several_copies_is_kept(inputs):
    long = turns(
        "Ann: " + " ".join("one two three four five six seven eight nine ten eleven".split()), "twelve thirteen"
    )
    rows, notes = fixed(inputs, "same_rows", draft_of(GOOD[0], long, GOOD[1], long, long))
    assert rows == {"train": [GOOD[0], long, GOOD[1]]}
    assert notes == ["2 rows left out that repeat an earlier row word for word"]


# --- other forms ------------------------------------------------------------------------------

SYSTEM = {"role": "system", "content": "Be Sam."}
FORMS = [
    ("rows_refused", {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, turns("a", "b")),
    ("rows_refused", {"instruction": "Do it.", "input": "a", "output": "b"}, turns("Do it.\n\na", "b")),
    ("rows_refused", {"messages": [{"role": "user", "content": None}, *turns("a", "b")["messages"]]}, said(("user", ""), ("user", "a"), ("assistant", "b"))),
    ("rows_refused", {"messages": []}, None),
    ("rows_refused", 5, None),
    ("data.unread_key", {"system": "Be Sam."} | turns("a", "b"), {"messages": [SYSTEM, *turns("a", "b")["messages"]]}),
    ("templated_content", turns("hey<|im_end|>", "yo"), turns("hey", "yo")),
    ("templated_content", turns("<|im_start|>user\nhey<|im_end|>", "yo"), turns("hey", "yo")),
    ("templated_content", turns("<start_of_turn>user\nhey<end_of_turn>\n<start_of_turn>model\n", "yo"), turns("hey", "yo")),
    ("templated_content", turns("[INST] <<SYS>>\nBe Sam.\n<</SYS>>\n\nhey [/INST]", "yo"), {"messages": [SYSTEM, *turns("hey", "yo")["messages"]]}),
    ("templated_content", turns("### Instruction:\nhey\n\n### Response:\n", "yo"), turns("hey", "yo")),
    ("printed_messages", turns(str([{"role": "user", "content": "it's"}]), "yo"), turns("it's", "yo")),
]  # fmt: skip


@pytest.mark.parametrize("repair_id, bad, right", FORMS)
def test_a_row_of_another_form_becomes_messages(repair_id, bad, right, inputs):
    rows, notes = fixed(inputs, repair_id, draft_of(GOOD[0], bad, GOOD[1]))
    assert notes
    assert rows["train"][0] == GOOD[0] and rows["train"][-1] == GOOD[1]
    assert rows["train"][1:-1] == [right] * (right is not None)


@pytest.mark.parametrize(
    "template, system",
    [
        ("<s>[INST] {} [/INST] {}</s>", None),
        ("<s>[INST] <<SYS>>\nBe Sam.\n<</SYS>>\n\n{} [/INST] {}</s>", SYSTEM),
        ("<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n{}<end_of_turn>\n", None),
        ("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>", None),
    ],
)  # fmt: skip
def test_texts_that_another_template_rendered_become_messages(template, system, inputs):
    rows = [{"text": template.format(f"hey {at}", f"yo {at}")} for at in range(3)]
    made, _ = fixed(inputs, "templated_content", draft_of(*rows))
    assert made["train"] == [
        {"messages": [*[system] * (system is not None), *turns(f"hey {at}", f"yo {at}")["messages"]]} for at in range(3)
    ]


def test_prompts_and_completions_stay_what_they_are(inputs):
    pairs = [{"prompt": f"question {at}?", "completion": "yes"} for at in range(3)]
    draft = draft_of(*pairs)
    assert repaired(draft, inputs, ALL) == (draft, [])


def test_texts_that_are_printed_lists_become_messages(inputs):
    said = [turns(f"hey {at}", f"yo {at}") for at in range(3)]
    rows, _ = fixed(inputs, "printed_messages", draft_of(*({"text": str(row["messages"])} for row in said)))
    assert rows == {"train": said}


def test_a_system_text_that_some_rows_lack_is_given_to_them(inputs):
    rows = [turns(f"hey {at}", f"yo {at}") for at in range(4)]
    with_system = [{"messages": [SYSTEM, *row["messages"]]} for row in rows]
    made, notes = fixed(inputs, "system_texts", draft_of(*with_system[:3], rows[3]))
    assert made == {"train": with_system} and notes
    other = {"messages": [{"role": "system", "content": "Be Ann."}, *rows[3]["messages"]]}
    two = draft_of(*with_system[:3], other)
    assert fixed(inputs, "system_texts", two) == (two["rows"], [])


def test_a_rare_system_text_that_asks_for_something_else_stays(inputs):
    usual, variant, german = (
        "You are Sam, a cheerful person.",
        "You are Sam, a cheerful  person",
        "Antworte auf Deutsch.",
    )
    rows = [said(("system", usual), ("user", f"hey {at}"), ("assistant", f"yo {at}")) for at in range(30)]
    rows[3]["messages"][0]["content"], rows[7]["messages"][0]["content"] = variant, german
    made, _ = fixed(inputs, "system_texts", draft_of(*rows))
    assert [row["messages"][0]["content"] for row in made["train"]] == [usual] * 7 + [german] + [usual] * 22


def test_names_within_a_reply_that_it_introduces_stay(inputs):
    rows = [
        turns(f"Ann: what was the score {at}?", f"The final scores were:\nSam: {at}\nAnn: 3\nso I win")
        for at in range(8)
    ]
    draft = draft_of(*rows)
    assert fixed(inputs, "speaker_tags", draft) == (draft["rows"], [])


def test_a_name_that_is_a_tag_in_some_rows_is_one_in_all(inputs):
    rows = [turns(f"Ann: hey {at}", f"Leo: yo {at}") for at in range(9)]
    with_system = [{"messages": [{"role": "system", "content": "You are Leo."}, *row["messages"]]} for row in rows[:4]]
    made, _ = fixed(inputs, "speaker_tags", draft_of(*with_system, *rows[4:]))
    assert [row["messages"][-1]["content"] for row in made["train"]] == [f"yo {at}" for at in range(9)]


def test_a_greeting_before_anybody_asked_is_taken_off_and_that_is_said(inputs):
    greeted = said(("assistant", "Hello, I help here."), ("user", "hey"), ("assistant", "yo"))
    made, notes = fixed(inputs, "data.roles", draft_of(GOOD[0], greeted))
    assert made["train"][1] == turns("hey", "yo") and any("before anybody asked" in note for note in notes)


# --- any rows at all --------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "hey",
        "yo Sam",
        "dinner at eight?",
        "Sam: yo",
        "",
        " ",
        "<|im_end|>",
        "canâ€™t",
        "Ann: ok",
        "a\x07b",
        "### Response:",
    ]
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "human", "ann"]), "content": WORDS}
)
ROW = (
    st.builds(lambda messages: {"messages": messages}, st.lists(MESSAGE, max_size=4))
    | st.builds(lambda asked, answer: {"prompt": asked, "completion": answer}, WORDS, WORDS)
    | st.builds(lambda text: {"text": text}, WORDS)
    | st.builds(turns, st.sampled_from(["one thing", "another thing"]), st.sampled_from(["fine", "well then"]))
)


@settings(RUNS, max_examples=60)
@given(rows=st.lists(ROW | VALUES, max_size=6))
@example(rows=[{"messages": [{"role": "assistant", "content": "hey"}, {"role": "user", "content": ""}]}])
@example(rows=[said(("user", "hey"), ("user", "")), said(("assistant", "hey"), ("user", "hey"))])
@example(rows=[said(("user", "hey"), ("system", "hey")), said(("assistant", "hey"), ("user", "hey"))])
def test_repairs_take_any_rows_and_have_nothing_to_do_the_second_time(rows, tokenizer, tmp_path):
    draft = draft_of(*rows)
    made, _ = repaired(draft, inputs_of(tmp_path), ALL)
    again, more = repaired(made, inputs_of(tmp_path), ALL)
    assert (again["rows"], more) == (made["rows"], [])


PLAIN = st.builds(
    lambda number, asked, reply: turns(f"{asked}, number {number}?", f"{reply} {number}"),
    st.integers(0, 10**9),
    st.sampled_from(["dinner", "ferry", "the blue one"]),
    st.sampled_from(["yes", "no", "later, maybe"]),
)


@settings(RUNS, max_examples=40)
@given(good=st.lists(PLAIN, min_size=3, max_size=6, unique_by=str), bad=st.lists(ROW, max_size=2), seed=st.randoms())
def test_a_conversation_without_a_fault_comes_out_as_it_was(good, bad, seed, tokenizer, tmp_path):
    rows = [*good, *bad]
    seed.shuffle(rows)
    made, _ = repaired(draft_of(*rows), inputs_of(tmp_path), ALL)
    kept = [row["messages"][-2:] for row in made["rows"]["train"]]  # a system text may have been given to it
    assert [one for one in kept if one in [row["messages"] for row in good]] == [
        row["messages"] for row in rows if row in good
    ]


# --- conversations with a fault ---------------------------------------------------------------

WORD = st.text("abdegilmnorstuéßñ", min_size=3, max_size=7)
SENTENCE = st.lists(WORD, min_size=2, max_size=5).map(" ".join)
CHAT = st.lists(SENTENCE, min_size=2, max_size=6).map(lambda said: turns(*said[: len(said) // 2 * 2]))
CHATS = st.lists(CHAT, min_size=3, max_size=6, unique_by=str)


def each(change, *roles):
    """A fault of every message of these roles."""
    return lambda row: {
        "messages": [
            one | {"content": change(one["content"])} if one["role"] in roles else one for one in row["messages"]
        ]
    }


def inserted(at, *messages):
    def changed(row):
        place = at if at >= 0 else len(row["messages"])
        return {"messages": [*row["messages"][:place], *messages, *row["messages"][place:]]}

    return changed


def renamed(**roles):
    return lambda row: {"messages": [one | {"role": roles[one["role"]]} for one in row["messages"]]}


def as_sharegpt(row):
    names = {"user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[one["role"]], "value": one["content"]} for one in row["messages"]]}


FAULTS = {
    "the owner's name before replies": each("Sam: {}".format, "assistant"),
    "a role's name before replies": each("assistant: {}".format, "assistant"),
    "tokens of a chat template": each("<|im_start|>user\n{}<|im_end|>".format, "user"),
    "a token at the end": each("{}<|im_end|>".format, "user", "assistant"),
    "Gemma's markup": each("<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n".format, "user"),
    "Alpaca's headings": each("### Instruction:\n{}\n\n### Response:\n".format, "user"),
    "UTF-8 read as Windows-1252": each(lambda text: text.encode().decode("cp1252"), "user", "assistant"),
    "Windows line ends": each("{}\r\n".format, "user", "assistant"),
    "control characters": each(lambda text: text.replace(" ", " \x07"), "user", "assistant"),
    "printed lists": lambda row: {"text": str(row["messages"])},
    "ShareGPT": as_sharegpt,
    "other roles": renamed(user="human", assistant="gpt"),
    "names as roles": renamed(user="ann", assistant="sam"),
    "swapped roles": renamed(user="assistant", assistant="user"),
    "an empty turn": inserted(1, {"role": "assistant", "content": " "}, {"role": "user", "content": ""}),
    "an empty start": inserted(0, {"role": "assistant", "content": ""}),
    "an empty end": inserted(-1, {"role": "user", "content": "\u200b"}),
}


def words_of(row):
    return [" ".join(one["content"].split()) for one in row["messages"]]


@pytest.mark.parametrize("fault", FAULTS)
@settings(RUNS, max_examples=15)
@given(chats=CHATS)
def test_a_conversation_with_a_fault_keeps_every_word(fault, chats, tokenizer, tmp_path):
    made, notes = repaired(draft_of(*map(FAULTS[fault], chats)), inputs_of(tmp_path), ALL)
    assert [words_of(row) for row in made["rows"]["train"]] == [words_of(row) for row in chats]
    assert notes or made["rows"]["train"] == chats


SEVERAL = [
    ("an empty start", "an empty end"),
    ("an empty turn", "the owner's name before replies"),
    ("a role's name before replies", "tokens of a chat template"),
    ("swapped roles", "other roles"),
    ("UTF-8 read as Windows-1252", "ShareGPT"),
    ("Gemma's markup", "printed lists"),
]


@pytest.mark.parametrize("first, second", SEVERAL)
@settings(RUNS, max_examples=5)
@given(chats=CHATS)
def test_a_conversation_with_two_faults_keeps_every_word(first, second, chats, tokenizer, tmp_path):
    rows = [FAULTS[second](FAULTS[first](row)) for row in chats]
    made, _ = repaired(draft_of(*rows), inputs_of(tmp_path), ALL)
    assert [words_of(row) for row in made["rows"]["train"]] == [words_of(row) for row in chats]
