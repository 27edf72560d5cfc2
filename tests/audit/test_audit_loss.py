"""On what the loss falls: our mask against the real trainer, and each fault under its own id."""

import math

import mlx.core as mx
import numpy
import pytest
from conftest import example
from ftstudy import audit, chat_format
from ftstudy.audit import loss, run_inputs
from ftstudy.audit.loss.trained_tokens import masked_rows
from ftstudy.chat_format.loss_mask import KINDS, loss_mask
from ftstudy.chat_format.rendering import render as rendered
from ftstudy.chat_format.rows import Split
from ftstudy.models import base_models
from ftstudy.report import render
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.tuner import trainer
from mlx_lm.tuner.datasets import CacheDataset, ChatDataset
from templates import FAMILIES, PROMPT, TOKENIZERS, TURNS, tokenizer_folder

SEVERITIES = {check.id: check.severities for check in loss.CHECKS}
PIECES = ("yo", "not tonight, sorry", "ok 😀", "see you at seven then, I will bring something to drink")


def row(number, reply=None, length=1):
    turns = [
        {"role": "user", "content": f"Contact: hey {number}" + "\nContact: are you coming?" * (number % 4) * length},
        {"role": "assistant", "content": PIECES[number % 4] if reply is None else reply},
    ]
    return {"messages": turns}


ROWS = [row(number) for number in range(11)]


# --- our mask is the trainer's ------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(TOKENIZERS))
def test_study_block_trains_reply_and_end_of_turn_in_every_row(family):
    tokenizer = TOKENIZERS[family]()
    rendering = rendered(list(enumerate(ROWS, 1)), tokenizer)
    for limit in (2048, 60, 45):
        found = loss_mask(rendering, tokenizer, mask_prompt=False, batch_size=4, limit=limit, train_on="last")
        counts = found.counts()
        for at, (number, row_) in enumerate(zip(rendering.numbers, rendering.rows)):
            ids, mask = chat_format.training_ids(row_, tokenizer)
            own = [place for place, on in enumerate(mask) if on and 0 < place < limit]
            assert found.trained_positions(at).tolist() == own, (family, number, limit)
            assert counts[at].sum() == len(own) and not counts[at][[0, 3, 4]].any()
            assert {found.kind(at, place) for place in own} <= {"reply", "end_of_turn"}


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma"])
def test_train_on_all_trains_every_reply(family):
    tokenizer = TOKENIZERS[family]()
    turns = [{"role": role, "content": f"{role} number {at}"} for at in range(3) for role in ("user", "assistant")]
    for messages, replies in ((turns, 3), (turns[:-1], 2), (turns[:2], 1)):
        rendering = rendered([(1, {"messages": messages})], tokenizer)
        found = loss_mask(rendering, tokenizer, mask_prompt=False, batch_size=1, limit=2048, train_on="all")
        trained = found.trained_positions(0)
        ids = rendering.ids[0]
        text = tokenizer.decode(ids[trained].tolist())
        assert [f"assistant number {at}" in text for at in range(3)] == [at < replies for at in range(3)]
        assert "user" not in text and found.lost == []
        assert found.counts()[0].tolist() == [0, len(trained) - replies, replies, 0, 0]


def test_templates_that_rewrite_earlier_replies_are_reported(audited, with_template):
    turns = TURNS.replace("+ message['content']", "+ (message['content'] if loop.last else 'hm')")
    assert turns != TURNS
    messages = [{"role": role, "content": f"{role} number {at}"} for at in range(2) for role in ("user", "assistant")]
    tokenizer = with_template(turns + PROMPT)
    block = {"ftstudy": '{"train_on": "all"}'}
    found = severities(audited([{"messages": messages}] * 4, tokenizer, **block))
    assert found["loss.earlier_replies"] == "warning"
    assert "loss.earlier_replies" not in severities(audited([{"messages": messages}] * 4, **block))


def test_study_block_has_no_findings_about_stock_batches(audited):
    rows = [row(number, length=30 if number in (3, 6, 7, 8) else 1) for number in range(10)]
    stock = severities(audited(rows, max_seq_length=200, mask_prompt=False, batch_size=4))
    ours = severities(
        audited(rows, max_seq_length=200, mask_prompt=False, batch_size=4, ftstudy='{"train_on": "last"}')
    )
    assert {"loss.on_prompt", "loss.padding"} <= set(stock)
    assert not {"loss.on_prompt", "loss.padding", "loss.nan_batch"} & set(ours)
    assert (
        ours["loss.truncated"] == "error"
        and ours["loss.nothing_trained"] == "warning"
        and ours["loss.shares"] == "info"
    )


def theirs(rows, tokenizer, mask_prompt, batch_size, limit):
    """mlx-lm's own batches: for each its array, its loss, its tokens and, from the loss's gradient,
    the positions that are trained."""
    dataset = CacheDataset(ChatDataset(rows, tokenizer, mask_prompt=mask_prompt))
    found = []
    for batch, lengths in trainer.iterate_batches(dataset, batch_size, limit):
        random = numpy.random.default_rng(0).normal(size=(batch_size, batch.shape[1] - 1, len(tokenizer.get_vocab())))
        logits = mx.array(random.astype("float32"))
        mean, tokens = trainer.default_loss(lambda _: logits, batch, lengths)
        slope = mx.grad(lambda values: trainer.default_loss(lambda _: values, batch, lengths)[0])(logits)
        trained = numpy.array(mx.abs(slope).sum(axis=-1)) > 0  # NaN where nothing is trained, and so False
        found.append((numpy.array(batch), mean.item(), tokens.item(), trained))
    return found


def ours(rows, tokenizer, mask_prompt, batch_size, limit):
    """The same from our mask."""
    rendering = rendered(list(enumerate(rows, 1)), tokenizer)
    found = loss_mask(rendering, tokenizer, mask_prompt=mask_prompt, batch_size=batch_size, limit=limit)
    counts = found.counts()
    batches = []
    for members, width in zip(found.batches, found.widths):
        array = numpy.zeros((batch_size, width), dtype=int)
        trained = numpy.zeros((batch_size, width), dtype=bool)
        first, last = found.trained(width)
        for line, member in enumerate(members):
            ids = rendering.ids[member][:limit]
            array[line, : len(ids)] = ids
            trained[line, first[member] : last[member] + 1] = True
        batches.append((array, counts[members].sum(), trained[:, 1:]))
    return found, batches


def assert_same(rows, tokenizer, mask_prompt, batch_size, limit):
    real = {batch.tobytes(): rest for batch, *rest in theirs(rows, tokenizer, mask_prompt, batch_size, limit)}
    _, batches = ours(rows, tokenizer, mask_prompt, batch_size, limit)
    assert len(batches) == len(rows) // batch_size
    for array, tokens, trained in batches:
        mean, their_tokens, their_trained = real[array.astype("int32").tobytes()]
        assert tokens == their_tokens
        assert numpy.array_equal(trained, their_trained)
        assert math.isnan(mean) == (tokens == 0)


@pytest.mark.parametrize("mask_prompt", [True, False])
@pytest.mark.parametrize("name", [*TOKENIZERS])
def test_mask_trains_the_same_positions_as_mlx_lm(name, mask_prompt):
    for batch_size, limit in ((2, 512), (4, 96), (3, 64), (1, 40)):
        assert_same(ROWS, TOKENIZERS[name](), mask_prompt, batch_size, limit)


def test_batches_equal_mlx_lms_if_rows_have_different_keys():
    rows = list(ROWS)
    rows[1] = rows[1] | {"mood": "fine"}
    rows[4] = rows[4] | {"mood": "fine", "weather": "wet"}
    assert_same(rows, TOKENIZERS["chatml"](), True, 3, 512)
    found, _ = ours(rows, TOKENIZERS["chatml"](), True, 3, 512)
    assert found.batches.flatten().tolist() == [0, 2, 3, 5, 6, 7, 8, 9, 10]


def test_mlx_lm_does_not_sort_conversations_by_length():
    rows = [row(number, length=3) for number in (3, 0, 2, 1, 3, 0)]
    dataset = CacheDataset(ChatDataset(rows, TOKENIZERS["chatml"](), mask_prompt=True))
    lengths = [len(dataset[index][0]) for index in range(6)]
    made = {tuple(numpy.array(sizes)[:, 1].tolist()) for _, sizes in trainer.iterate_batches(dataset, 2, 2048)}
    assert lengths != sorted(lengths)
    assert made == {tuple(lengths[at : at + 2]) for at in (0, 2, 4)}


def test_kinds_of_tokens_in_a_row():
    tokenizer = TOKENIZERS["chatml"]()
    found, _ = ours([row(0, "yo"), row(3, "yo")], tokenizer, True, 2, 512)
    ids = found.rendering.ids[0].tolist()
    kinds = [found.kind(0, position) for position in range(len(ids) + 1)]
    reply = tokenizer.encode("yo", add_special_tokens=False)
    prompt = tokenizer.apply_chat_template(row(0)["messages"][:1], add_generation_prompt=True)
    assert kinds == ["prompt"] * len(prompt) + ["reply"] * len(reply) + ["end_of_turn", "after_end", "padding"]
    assert found.counts()[0].tolist() == [0, len(reply), 1, 1, 1]
    unmasked, _ = ours([row(0, "yo"), row(3, "yo")], tokenizer, False, 2, 512)
    assert unmasked.counts()[0].tolist() == [len(prompt) - 1, len(reply), 1, 1, 1]


def test_rows_outside_all_batches_are_not_counted():
    found, _ = ours(ROWS, TOKENIZERS["chatml"](), True, 4, 512)
    assert found.counts()[8:].sum() == 0 and found.counts()[:8].all(axis=0)[1]


@settings(max_examples=25)
@given(
    name=st.sampled_from(["chatml", "gemma", "mistral", "think"]),
    contents=st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=40)] * 2), min_size=2, max_size=6
    ),
    mask_prompt=st.booleans(),
    limit=st.integers(2, 80),
)
def test_mask_trains_the_same_positions_for_any_rows(name, contents, mask_prompt, limit):
    rows = [
        {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]}
        for user, reply in contents
    ]
    assert_same(rows, TOKENIZERS[name](), mask_prompt, 2, limit)


# --- findings -----------------------------------------------------------------------------------


@pytest.fixture
def audited(tmp_path, write_split):
    def make(rows=ROWS, tokenizer=None, valid=ROWS, **settings):
        write_split(tmp_path / "data", "train", rows)
        write_split(tmp_path / "data", "valid", valid)
        keys = {"model": "tiny", "data": str(tmp_path / "data"), "batch_size": 2, "mask_prompt": True} | settings
        config = tmp_path / "config.yaml"
        config.write_text("".join(f"{key}: {value}\n" for key, value in keys.items() if value is not None))
        made = run_inputs.read(config)
        made.tokenizer = tokenizer or TOKENIZERS["chatml"]()
        return made

    return make


@pytest.fixture
def with_template(tmp_path, monkeypatch):
    """A tokenizer of ChatML's with another template, or other settings."""

    def make(template, **changes):
        monkeypatch.setitem(FAMILIES, "changed", FAMILIES["chatml"] | {"template": template} | changes)
        return base_models.load_tokenizer(tokenizer_folder("changed", tmp_path / "model"))

    return make


def severities(made):
    """Of train.jsonl: valid.jsonl's findings come behind."""
    return {item.check: item.severity for item in reversed(loss.check(made))}


def of(made, check, split=""):
    """The one finding of that check, on train.jsonl where others have it too."""
    found = [item for item in loss.check(made) if item.check == check and split in item.where]
    (item,) = [item for item in found if len(found) == 1 or item.where.endswith("train.jsonl")]
    assert len(item.evidence) <= 6 and all(len(line) <= 200 for line in item.evidence)
    return item


INFOS = {"loss.shares", "loss.padding"}


@pytest.mark.parametrize("name", [*TOKENIZERS])
def test_clean_run_has_no_finding_above_info(name, audited):
    found = severities(audited(tokenizer=TOKENIZERS[name](), batch_size=4))
    assert found == dict.fromkeys(INFOS, "info")


def test_every_check_is_declared_with_its_severities(audited):
    for made in (audited(), audited(mask_prompt=False), audited(max_seq_length=20)):
        for item in loss.check(made):
            assert item.severity in SEVERITIES[item.check]


def test_loss_on_the_prompt_is_reported_with_shares(audited):
    item = of(audited(mask_prompt=None), "loss.on_prompt")
    counts = ours(ROWS, TOKENIZERS["chatml"](), False, 2, 2048)[0].counts().sum(axis=0)
    share = counts[KINDS.index("prompt")] / counts.sum()
    assert item.severity == "warning" and f"{share:.0%} of the loss is on the prompt" in item.title
    assert len(item.evidence) == 5 and item.evidence[0].endswith(f"{share:.1%}")
    assert "loss.shares" not in severities(audited(mask_prompt=False))


def test_shares_of_a_masked_run(audited):
    item = of(audited(), "loss.shares")
    counts = ours(ROWS, TOKENIZERS["chatml"](), True, 2, 2048)[0].counts().sum(axis=0).tolist()
    assert counts[0] == 0 and counts[2:] == [10, 10, 10]
    assert item.evidence[1] == f"reply: {counts[1]} tokens, {counts[1] / sum(counts):.1%}"
    assert '"<|endoftext|>"' in item.cause  # what token 0, the padding, says


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("<|im_end|>\n", "\n", "writes nothing after a reply"),
        ("<|im_end|>\n", "<|end|>\n", 'ends a reply with "<|end|>", which is plain text to this tokenizer'),
        ("<|im_end|>\n", "<|endoftext|>\n", 'ends a reply with "<|endoftext|>" (id 0): the model learns it'),
    ],
)
def test_replies_without_an_end_of_turn(audited, with_template, old, new, words):
    item = of(audited(tokenizer=with_template((TURNS + PROMPT).replace(old, new))), "loss.end_of_turn")
    assert item.severity == "error" and item.title.startswith("11 of 11 replies")
    assert words in item.cause and '"<|im_end|>" (id 2)' in item.cause


def test_eos_token_that_the_template_does_not_write(audited, with_template):
    item = of(audited(tokenizer=with_template(TURNS + PROMPT, eos="<|endoftext|>")), "loss.end_of_turn")
    assert item.severity == "error" and "(id 2): the model learns it, and goes on" in item.cause


def test_few_replies_without_an_end_of_turn_are_a_warning(audited, with_template):
    turns = TURNS.replace("+ '<|im_end|>", "+ ('' if message['content'] == 'ok 😀' else '<|im_end|>') + '")
    item = of(audited(tokenizer=with_template(turns + PROMPT)), "loss.end_of_turn")
    assert item.severity == "warning" and item.title.startswith("3 of 11")


def test_end_of_turn_cut_off_in_most_rows(audited):
    rows = [row(0, "see you at seven then, I will bring something to drink" * 3) for _ in range(4)] + [row(0)] * 2
    found = audited(rows, max_seq_length=60)
    assert of(found, "loss.end_of_turn").severity == "error"
    assert of(found, "loss.truncated").severity == "warning"
    assert "loss.end_of_turn" not in severities(audited(rows + [row(0)] * 6, max_seq_length=60))


def test_think_block_only_in_the_prompt(audited, tmp_path):
    tokenizer = base_models.load_tokenizer(tokenizer_folder("think_prompt", tmp_path / "model"))
    found = audited([row(3, "see you at seven then, I will bring something to drink")] * 4, tokenizer)
    item = of(found, "loss.prompt_not_prefix")
    assert item.severity == "error" and "4 of 4 rows" in item.title
    assert "<think>" in item.evidence[0] and "too few in the loss" in item.evidence[0]
    assert "loss.nothing_trained" not in severities(found)
    found = audited([row(number, "k") for number in range(4)], tokenizer)
    item = of(found, "loss.nothing_trained")
    assert item.severity == "error" and item.title.startswith("In 4 of 4 rows")
    assert severities(found)["loss.nan_batch"] == "error"


def test_prompt_differs_from_training_also_without_mask_prompt(audited, tmp_path):
    tokenizer = base_models.load_tokenizer(tokenizer_folder("think_prompt", tmp_path / "model"))
    found = severities(audited(tokenizer=tokenizer, mask_prompt=False))
    assert found["loss.prompt_not_prefix"] == "error" and "loss.nothing_trained" not in found


def test_template_that_drops_the_system_text_after_a_reply(audited, with_template):
    turns = "{% for message in messages %}{% if message['role'] != 'system' or messages[-1]['role'] == 'user' %}"
    turns += TURNS.split("%}", 1)[1].replace("{% endfor %}", "{% endif %}{% endfor %}")
    rows = [example(user=f"Contact: hey {number}", reply="see you at seven") for number in range(4)]
    made = audited(rows, with_template(turns + PROMPT))
    assert of(made, "loss.prompt_not_prefix").severity == "error"
    found = made.loss_mask("train")
    row_ids, start = found.rendering.ids[0], found.starts[0]
    assert made.tokenizer.decode(row_ids[start : found.ends[0]].tolist()) == "see you at seven"


@pytest.mark.parametrize("space, severity", [(" ", "error"), ("\\n", "warning")])
def test_white_space_between_prompt_and_reply(audited, with_template, space, severity):
    # The prompt ends with one that the whole text has not: the mask skips the reply's first token …
    prompt = PROMPT.replace("assistant\n", f"assistant\n{space}")
    if severity == "warning":  # … or has another white space, as long
        prompt = PROMPT.replace("assistant\n", "assistant ")
    found = severities(audited(tokenizer=with_template(TURNS + prompt)))
    assert found["loss.prompt_not_prefix"] == severity
    assert "loss.nothing_trained" not in found


def test_several_white_space_tokens_in_the_loss(audited, with_template):
    template = TURNS.replace("'\n' + message", "'\n\n\n' + message") + PROMPT.replace("assistant\n", "assistant ")
    item = of(audited(tokenizer=with_template(template)), "loss.prompt_not_prefix")
    assert item.severity == "error" and "2 tokens too many in the loss" in item.evidence[0]


def test_reply_cut_off_completely(audited):
    rows = [row(number, length=30 if number == 3 else 1) for number in range(8)]
    item = of(audited(rows, max_seq_length=256), "loss.truncated")
    assert item.severity == "error" and "the whole reply of 1 of 8 rows" in item.title
    assert item.evidence[0].startswith("line 4: ")
    found = severities(audited(rows, max_seq_length=256, mask_prompt=False))
    assert found["loss.truncated"] == "error" and "loss.nan_batch" not in found


def test_reply_cut_off_in_valid_is_a_warning(audited):
    rows = [row(number, length=30 if number == 3 else 1) for number in range(8)]
    item = of(audited(valid=rows, max_seq_length=256), "loss.truncated", "valid")
    assert item.severity == "warning" and "the whole reply of 1 of 8 rows" in item.title


@pytest.mark.parametrize("tested, found", [("true", True), ("false", False)])
def test_test_split_is_checked_only_if_the_run_tests(audited, tmp_path, write_split, tested, found):
    write_split(tmp_path / "data", "test", [row(number, length=30) for number in range(8)])
    made = audited(max_seq_length=256, test=tested)
    assert found == any(item.where.endswith("test.jsonl") for item in loss.check(made))


@pytest.mark.parametrize("others, severity", [(20, "warning"), (150, "info")])
def test_reply_cut_off_in_part(audited, others, severity):
    rows = [row(0) for _ in range(others)] + [row(0, "see you at seven " * 30)]
    item = of(audited(rows, max_seq_length=128), "loss.truncated")
    assert item.severity == severity and "the end of the reply of 1 of" in item.title


def test_cutting_off_only_the_last_line_break_is_fine(audited):
    tokenizer = TOKENIZERS["chatml"]()
    length = len(tokenizer.apply_chat_template(row(0)["messages"]))
    found = severities(audited([row(0)] * 4, tokenizer, [row(0)] * 4, max_seq_length=length - 1))
    assert "loss.truncated" not in found and "loss.end_of_turn" not in found
    assert "loss.truncated" in severities(audited([row(0)] * 4, tokenizer, max_seq_length=length - 2))


def test_nan_batches_are_those_that_give_nan(audited):
    tokenizer = TOKENIZERS["chatml"]()
    rows = [row(number, length=30 if number in (3, 6, 7, 8) else 1) for number in range(10)]
    real = [math.isnan(mean) for _, mean, *_ in theirs(rows, tokenizer, True, 2, 200)]
    item = of(audited(rows, tokenizer, max_seq_length=200, iters=10), "loss.nan_batch")
    assert sum(real) == 1
    assert item.severity == "error" and item.title.startswith("1 of 5 batches")
    assert item.evidence[0].startswith("lines 7, 8: ")
    assert "10 steps take 200% of the batches" in item.cause


def test_nan_batches_of_valid_are_a_warning(audited):
    found = loss.check(audited(valid=[row(3, length=30)] * 2, max_seq_length=256))
    (item,) = [item for item in found if item.check == "loss.nan_batch"]
    assert item.severity == "warning" and item.where.endswith("valid.jsonl")


def test_rows_that_the_template_rejects(audited):
    rows = ROWS + [example(), example()]
    item = of(audited(rows, TOKENIZERS["gemma"]()), "loss.template_refuses")
    assert item.severity == "error" and item.title == "The chat template rejects 2 rows of train.jsonl"
    assert item.evidence[0].startswith("line 12: ") and "System role" in item.evidence[0]


@pytest.mark.parametrize("mask_prompt, severity", [(True, "error"), (False, "warning")])
def test_prompts_that_the_template_rejects(audited, mask_prompt, severity):
    rows = ROWS + [{"messages": [{"role": "assistant", "content": "nobody asked"}]}]
    found = audited(rows, mask_prompt=mask_prompt)
    assert of(found, "loss.template_refuses").severity == severity
    ChatDataset(rows, found.tokenizer, mask_prompt=False).process(rows[-1])  # mlx-lm takes it so


def test_padding_is_reported(audited):
    rows = [row(number, length=1 + 4 * (number % 2)) for number in range(8)]
    item = of(audited(rows), "loss.padding")
    batches = theirs(rows, TOKENIZERS["chatml"](), True, 2, 2048)
    area = sum(batch.size for batch, *_ in batches)
    own = sum(len(ids) for ids in rendered(list(enumerate(rows, 1)), TOKENIZERS["chatml"]()).ids)
    assert item.severity == "info" and item.title.startswith(f"{1 - own / area:.0%} of the batches")


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": "'two'"},
        {"batch_size": 100},
        {"max_seq_length": -1},
        {"max_seq_length": 1},
        {"max_seq_length": "long"},
        {"iters": "many", "max_seq_length": 16},
        {"mask_prompt": "'no'"},
    ],
    ids=str,
)
def test_no_setting_stops_the_checks(audited, settings):
    for item in loss.check(audited(**settings)):
        assert item.check in SEVERITIES


@settings(max_examples=30)
@given(data=st.data())
def test_no_row_stops_the_checks(tmp_path_factory, data):
    text = st.text(max_size=20) | st.sampled_from(["<|im_end|>", "\ud800", "<|im_start|>assistant\n", "\n\n"])
    message = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "x"]), "content": text})
    rows = data.draw(
        st.lists(st.fixed_dictionaries({"messages": st.lists(message, min_size=1, max_size=4)}), max_size=9)
    )
    made = run_inputs.RunInputs(
        config={"batch_size": 2, "max_seq_length": data.draw(st.integers(1, 60)), "mask_prompt": data.draw(st.booleans())},
        given={}, folder=tmp_path_factory.getbasetemp(), profile=None, owner="Sam",
        splits={"train": Split("train", tmp_path_factory.getbasetemp() / "train.jsonl", len(rows), rows, [*range(len(rows))])},
    )  # fmt: skip
    made.tokenizer = TOKENIZERS[data.draw(st.sampled_from([*TOKENIZERS]))]()
    for item in loss.check(made):
        assert item.severity in SEVERITIES[item.check]


# --- the picture ----------------------------------------------------------------------------------


def test_masked_row_token_by_token(audited):
    first, second, third = masked_rows(audited(ROWS[:3]), count=5)
    assert first["line"] == 1 and first["in_batch"] and not third["in_batch"]
    trained = [(token["text"], token["kind"]) for token in first["tokens"] if token["trained"]]
    assert "".join(text for text, kind in trained if kind == "reply") == "yo"
    assert trained[-3:] == [("<|im_end|>", "end_of_turn"), ("\n", "after_end"), ("<|endoftext|>", "padding")]
    assert not any(token["trained"] for token in third["tokens"])
    whole = "".join(token["text"] for token in third["tokens"])
    assert whole == audited().tokenizer.apply_chat_template(ROWS[2]["messages"], tokenize=False)


def test_masked_row_that_is_cut_off(audited):
    (cut,) = masked_rows(audited([row(3)] * 2, max_seq_length=20), count=1)
    assert cut["cut"] > 0 and cut["padding"] == 0 and len(cut["tokens"]) <= 20
    assert {token["kind"] for token in cut["tokens"]} == {"prompt"}


def test_picture_marks_trained_tokens_and_escapes_html(audited):
    rows = [row(0, "<b>yo</b>  two\nlines\u200b"), row(3, "👩‍👩‍👧")]
    shown = render.fragment("trained_tokens", rows=masked_rows(audited(rows)), caption="What is trained")
    assert "<b>" not in shown and "&lt;" in shown
    assert shown.count('<mark title="end of turn, trained"') == 3  # one a row, and the legend's
    assert "⏎\n" in shown and "·" in shown and "‹U+200B›" in shown and "👩" in shown
    assert "in no batch" not in shown and "padding without loss" in shown


@pytest.mark.parametrize("train_on, replies", [("last", 1), ("all", 2)])
def test_picture_marks_what_the_study_block_trains(audited, train_on, replies):
    turns = [{"role": role, "content": f"{role} number {at}"} for at in range(2) for role in ("user", "assistant")]
    made = audited([{"messages": turns}] * 2, ftstudy=f'{{"train_on": "{train_on}"}}')
    (shown,) = masked_rows(made, count=1)
    marked = "".join(token["text"] for token in shown["tokens"] if token["trained"])
    assert marked == "".join(f"assistant number {at}<|im_end|>" for at in range(2 - replies, 2))
    assert shown["in_batch"] and shown["padding"] == 0


def test_picture_marks_rows_that_are_left_out(audited):
    rows = [{"messages": row(0)["messages"] + row(1)["messages"][:1]}, row(1)]
    first, second = masked_rows(audited(rows, ftstudy='{"train_on": "last"}'))
    assert not first["in_batch"] and not any(token["trained"] for token in first["tokens"]) and second["in_batch"]


def test_without_training_rows_none_are_shown(tmp_path):
    (tmp_path / "valid.jsonl").write_text('{"text": "hi"}\n')
    assert masked_rows(audit.read("ft_configs/sample_tiny_lora_variable.yaml", tmp_path)) == []
