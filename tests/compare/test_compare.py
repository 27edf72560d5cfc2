"""The comparison: faults, scores, intervals, attribution, archaeology, replies, arms and what is left out."""

import itertools
import json
import re
import shutil
from collections import Counter

import mlx.core as mx
import numpy as np
import pytest
from conftest import example, refused, scores
from engine.test_reply_logits import MODELS
from ftstudy import chat_format
from ftstudy.compare import (
    archaeology,
    arms,
    attribution,
    generation,
    heldout,
    likelihood,
    prompt_formats,
    prompt_pieces,
    results,
)
from ftstudy.files import write_jsonl
from ftstudy.models import base_models
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.generate import generate_step
from templates import TOKENIZERS

ROWS = [example(user=f"Contact: hey {number}", reply="yo" + " there" * (number % 4)) for number in range(10)]
NAMES = [f"chat {at // 2}" for at in range(10)]
PLACES = [("test", row) for row in range(10)]
TESTED = {"examples": ROWS, "conversations": NAMES, "rows": list(range(10)), "places": PLACES, "leaked": [False] * 10}
HISTORICAL = chat_format.load_profile("historical", "Sam")


def rows_for(tokenizer):
    """Rows that the template accepts: Gemma's rejects a system message."""
    try:
        tokenizer.apply_chat_template(ROWS[0]["messages"])
        return ROWS
    except Exception:  # a chat template can raise anything
        return [{"messages": row["messages"][1:]} for row in ROWS]


def prompts_of(tokenizer, one, app=HISTORICAL):
    rows = rows_for(tokenizer)
    return [prompt_formats.prompt_ids(row, tokenizer, one, app, ("test", at), "Sam") for at, row in enumerate(rows)]


# --- faults -----------------------------------------------------------------------------------


def formats_of(tokenizer, app=HISTORICAL, every=False):
    rows = rows_for(tokenizer)
    made = prompt_formats.formats(app, rows, tokenizer, PLACES, every)
    return made, *prompt_formats.distinct(made, app, TESTED | {"examples": rows}, tokenizer, "Sam")


def test_app_prompt_is_split_into_faults_and_rebuilt(tokenizer):
    made, formats, same, _ = formats_of(tokenizer)
    assert [one["name"] for one in formats] == ["aligned", "system", "user", "historical"]
    assert same["template"] == "aligned" and same["system + user"] == "historical"  # ChatML is this model's own
    whole = next(one for one in made if one["name"] == "historical")
    assert prompts_of(tokenizer, whole) == [chat_format.prompt_ids(row, tokenizer, HISTORICAL) for row in ROWS]


def test_each_fault_changes_only_what_it_names(tokenizer):
    made, *_ = formats_of(tokenizer, every=True)
    text = {one["name"]: tokenizer.decode(prompts_of(tokenizer, one)[0]) for one in made}
    assert "tech founder" in text["system"] and "Last Message" not in text["system"]
    assert "Last Message: hey 0" in text["user"] and "tech founder" not in text["user"]
    assert "You are Sam. Reply." not in text["no system"] and "Contact: hey 0" in text["no system"]
    assert text["no template"] == "You are Sam. Reply.\n\nContact: hey 0\n"
    assert text["system + no template"].startswith("You are Sam, a tech founder.")


@pytest.mark.parametrize("family", TOKENIZERS)
def test_every_combination_renders_or_is_refused(family):
    tokenizer = TOKENIZERS[family]()
    made, formats, same, refused = formats_of(tokenizer, every=True)
    names = [one["name"] for one in made]
    assert len(names) == len(set(names)) and names[0] == "aligned"
    for one in made:  # no two faults exclude each other
        assert all(len(set(one["faults"]) & set(group)) < 2 for group in prompt_formats.GROUPS)
    assert {one["name"] for one in formats} | set(same) | set(refused) == set(names)
    assert ("system" in refused) == (family == "gemma")
    assert prompts_of(tokenizer, prompt_formats.ALIGNED) == [
        chat_format.prompt_ids(row, tokenizer) for row in rows_for(tokenizer)
    ]


def test_bos_faults_need_a_tokenizer_that_writes_bos(tokenizer):
    assert formats_of(tokenizer, every=True)[2]["doubled BOS"] == "aligned"
    with_bos = TOKENIZERS["chatml_bos"]()
    aligned, missing, doubled = (
        prompts_of(with_bos, {"name": "x", "faults": found})[0] for found in ([], ["missing BOS"], ["doubled BOS"])
    )
    assert aligned[0] == with_bos.bos_token_id and missing == aligned[1:] and doubled == [aligned[0], *aligned]


def test_hard_coded_template_of_another_model_is_a_fault():
    gemma = TOKENIZERS["gemma"]()
    _, formats, same, _ = formats_of(gemma)
    assert "template" not in same and "template" in [one["name"] for one in formats]


@pytest.mark.parametrize(
    "profile, parts",
    [
        ({"kind": "messages"}, set()),
        ({"kind": "messages", "system": "Be brief."}, {"system"}),
        ({"kind": "messages", "system": False}, {"no system"}),
        ({"kind": "messages", "user": "Reply to: {last_message}"}, {"user"}),
        ({"kind": "template", "template": "{context}\nSam:"}, {"template"}),
        ({"kind": "template", "system": "Be brief.", "template": "[{system}] {context}"}, {"template", "system"}),
        ({"kind": "callable", "function": f"{__name__}:app"}, {"system", "user"}),
        ({"kind": "callable", "function": f"{__name__}:whole"}, set()),
    ],
)
def test_faults_of_each_kind_of_profile(profile, parts, tokenizer):
    profile = chat_format.load_profile(profile) | {"name": "mine"}
    assert prompt_formats.parts(profile, ROWS[0], ("test", 0)) == parts
    made, _, _, _ = formats_of(tokenizer, profile)
    assert made[-1]["name"] == "mine"
    assert prompts_of(tokenizer, made[-1], profile) == [chat_format.prompt_ids(row, tokenizer, profile) for row in ROWS]


def app(example):
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "!" + example["messages"][1]["content"]},
    ]


def whole(example):
    return "> " + example["messages"][1]["content"]


def test_app_without_system_text_uses_the_original_reports(tokenizer):
    profile = chat_format.load_profile({"kind": "messages", "system": False}) | {"name": "mine"}
    made, *_ = formats_of(tokenizer, profile, every=True)
    text = {one["name"]: tokenizer.decode(prompts_of(tokenizer, one, profile)[0]) for one in made}
    assert "tech founder" in text["system"] and not [name for name, found in text.items() if "None" in found]


def test_app_that_differs_on_some_rows_is_split_too(tokenizer):
    same_system = (
        "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n> {context}<|im_end|>\n<|im_start|>assistant\n"
    )
    profile = {"kind": "template", "template": same_system, "system": "You are Sam. Reply.", "user": "> {context}"}
    made, *_ = formats_of(tokenizer, chat_format.load_profile(profile) | {"name": "mine"})
    assert [one["name"] for one in made] == ["aligned", "user", "template", "mine"]
    profile = chat_format.load_profile({"kind": "callable", "function": f"{__name__}:sometimes"}) | {"name": "mine"}
    made, *_ = formats_of(tokenizer, profile)
    assert [one["name"] for one in made] == ["aligned", "system", "user", "mine"] and made[-1]["faults"]


def sometimes(example):
    text = example["messages"][1]["content"]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text.replace("hey 3", "yo")}]


def test_row_without_user_message_is_unchanged(tokenizer):
    row = {"messages": [ROWS[0]["messages"][0], ROWS[0]["messages"][2]]}
    made = {"name": "user", "faults": ["user"], "own": {"user"}}
    aligned = prompt_formats.prompt_ids(row, tokenizer, prompt_formats.ALIGNED, HISTORICAL)
    assert prompt_formats.prompt_ids(row, tokenizer, made, HISTORICAL, owner="Sam") == aligned


def test_scaling_is_a_paired_difference():
    rows = {"examples": [example(reply="four")] * 20, "conversations": [str(at) for at in range(20)]}
    noise = np.random.default_rng(0).normal(0, 0.1, 20)
    found = {("tuned", "aligned"): 8, ("tuned", "app"): 9, ("larger", "aligned"): 5, ("base", "aligned"): 9}
    found = {key: scores(noise + cost) for key, cost in found.items()}
    models = [{"name": name, "base": base, "option": option} for name, base, option in (
        ("base", None, None), ("tuned", "base", "B"), ("larger", "base", None), ("gone", "base", None)
    )]  # fmt: skip
    (one,) = results.scaling(found, models, "app", rows)
    assert one["model"] == "larger" and one["saved"] == pytest.approx(3 / np.log(2) / 4)
    assert one["aligning_ahead"]["interval"][1] < 0
    assert results.scaling(found, models, "gone", rows) == []


def test_failing_app_is_refused_with_its_reason(tokenizer):
    profile = chat_format.load_profile({"kind": "callable", "function": f"{__name__}:fails"}) | {"name": "mine"}
    _, formats, _, refused = formats_of(tokenizer, profile)
    assert [one["name"] for one in formats] == ["aligned"] and "no such key" in refused["mine"]


def fails(example):
    raise KeyError("no such key")


def test_examples_in_the_prompt_are_earlier_turns(tokenizer):
    one = prompt_formats.few_shot([ROWS[8], ROWS[9]])
    text = tokenizer.decode(prompts_of(tokenizer, one)[0])
    assert text.index("hey 8") < text.index("hey 9") < text.index("hey 0")
    assert text.count("You are Sam. Reply.") == 1 and one["name"] == "aligned, 2 examples"


# --- a prompt that is read ------------------------------------------------------------------------

LONG = {
    "messages": [
        ROWS[0]["messages"][0],
        *example(user="Contact: hi", reply="yo")["messages"][1:],
        *ROWS[0]["messages"][1:],
    ]
}


def captured(tokenizer, rows, change):
    """An app known by its prompts: training's, changed."""
    texts = [chat_format.template_text(row["messages"][:-1], tokenizer, prompt=True) for row in rows]
    prompts = {("test", at): tokenizer.encode(change(text), add_special_tokens=False) for at, text in enumerate(texts)}
    return {"kind": "captured", "name": "mine", "file": "prompts.jsonl", "broken": [], "rows": prompts}


def apart(tokenizer, rows, change):
    """The app's prompt as a format, and its prompts by the faults they have."""
    app = captured(tokenizer, rows, change)
    places = [("test", at) for at in range(len(rows))]
    made = prompt_formats.formats(app, rows, tokenizer, places)
    prompts = {
        frozenset(one["faults"]): [
            tokenizer.decode(prompt_formats.prompt_ids(row, tokenizer, one, app, place))
            for row, place in zip(rows, places)
        ]
        for one in made
    }
    return made[-1], prompts


ASPECTS = {  # an aspect -> what an app does to training's prompt
    "system": lambda text: text.replace("You are Sam. Reply.", "Be brief."),
    "user": lambda text: text.replace("Contact: hey", "Context:\nContact: hey"),
    "earlier turns": lambda text: text.replace("Contact: hi", "Contact: bye"),
    "header": lambda text: text.removesuffix("<|im_start|>assistant\n") + "<|im_start|>sam\n",
    "white space": lambda text: text.replace("system\n", "system\n\n"),
    "end": lambda text: text + "Sam:",
}


@pytest.mark.parametrize("aspect", ASPECTS)
def test_each_aspect_of_a_captured_prompt_is_recognized(aspect, tokenizer):
    complete, prompts = apart(tokenizer, [LONG], ASPECTS[aspect])
    assert complete["faults"] == [aspect] and complete["name"] == "mine" and complete["unread"] == 0
    (training,), (found,) = prompts[frozenset()], prompts[frozenset([aspect])]
    assert found == ASPECTS[aspect](training) != training


def test_aspects_are_swapped_one_at_a_time(tokenizer):
    chosen = ("system", "user", "end")

    def change(text, aspects=chosen):
        for aspect in aspects:
            text = ASPECTS[aspect](text)
        return text

    complete, prompts = apart(tokenizer, [LONG, *ROWS], change)
    assert complete["faults"] == list(chosen) and len(prompts) == 8
    for aspects, found in prompts.items():
        assert found == [change(text, [one for one in chosen if one in aspects]) for text in prompts[frozenset()]]


def test_aspect_changes_only_the_rows_that_have_it(tokenizer):
    complete, prompts = apart(tokenizer, [LONG, *ROWS], ASPECTS["earlier turns"])
    training, found = prompts[frozenset()], prompts[frozenset(["earlier turns"])]
    assert found[0] != training[0] and found[1:] == training[1:]


def test_a_form_that_all_user_turns_have_is_one_fault(tokenizer):
    complete, prompts = apart(tokenizer, [LONG], lambda text: text.replace("Contact: ", "Context:\nContact: "))
    assert complete["faults"] == ["user"]
    assert prompts[frozenset(["user"])][0].count("Context:") == 2


def test_a_prompt_of_one_message_is_read(tokenizer):
    row = {"messages": ROWS[0]["messages"][1:]}
    found = prompt_pieces.of_prompt(row, tokenizer, chat_format.load_profile("aligned", "Sam"), PLACES[0])
    assert {piece.aspect for piece in found} == {""} and len(found) > 1
    assert prompt_pieces.joined(found, set(), tokenizer) == chat_format.prompt_ids(row, tokenizer)


@pytest.mark.parametrize(
    "removed, expected",
    [
        (("You are Sam. Reply.",), ["no system"]),
        (("Contact: hi", "yo"), ["earlier turns"]),
        (("You are Sam. Reply.", "Contact: hi", "yo"), ["no system", "earlier turns"]),
    ],
)
def test_missing_turns_are_faults_of_their_own(removed, expected, tokenizer):
    turn = r"<\|im_start\|>\w+\n(%s)<\|im_end\|>\n" % "|".join(map(re.escape, removed))
    complete, prompts = apart(tokenizer, [LONG], lambda text: re.sub(turn, "", text))
    assert complete["faults"] == expected
    if len(expected) == 2:
        for fault, texts in (("no system", removed[:1]), ("earlier turns", removed[1:])):
            (found,) = prompts[frozenset([fault])]
            assert [text in found for text in removed] == [text not in texts for text in removed]
            assert found.count("<|im_start|>") == found.count("<|im_end|>") + 1


def test_missing_default_system_text_and_earlier_turns_have_their_own_costs(tokenizer):
    default = "<|im_start|>system\nYou are a tiny model with random weights<|im_end|>\n"
    earlier = "<|im_start|>user\nContact: hi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n"
    row = {"messages": LONG["messages"][1:]}
    complete, prompts = apart(tokenizer, [row], lambda text: text.removeprefix(default))
    (training,), (found,) = prompts[frozenset()], prompts[frozenset(["system"])]
    assert complete["faults"] == ["system"] and training == default + found
    complete, prompts = apart(tokenizer, [row], lambda text: text.removeprefix(default + earlier))
    assert complete["faults"] == ["system", "earlier turns"]
    (training,), (neither,) = prompts[frozenset()], prompts[frozenset(complete["faults"])]
    assert training == default + earlier + neither
    assert prompts[frozenset(["system"])] == [earlier + neither]
    assert prompts[frozenset(["earlier turns"])] == [default + neither]


def test_prompts_that_cannot_be_read_are_counted_and_stay_whole(tokenizer):
    def change(text):
        return "> hey 3" if "hey 3" in text else ASPECTS["system"](text)

    complete, prompts = apart(tokenizer, ROWS, change)
    assert complete["faults"] == ["system", "unread"] and complete["unread"] == 1
    training, by_system = prompts[frozenset()], prompts[frozenset(["system"])]
    assert by_system[3] == training[3] and by_system[2] == change(training[2])
    assert prompts[frozenset(["unread"])][3] == "> hey 3" and prompts[frozenset(["unread"])][2] == training[2]
    whole, _ = apart(tokenizer, ROWS, lambda text: "> hey")
    assert whole["faults"] == [] and whole["unread"] == 10


def test_many_aspects_join_the_markup(tokenizer):
    def change(text):
        text = ASPECTS["end"](ASPECTS["user"](ASPECTS["system"](text))).replace("\nyo<", "\nno<")
        return text.replace("<|im_end|>\n<|im_start|>user", "<|im_end|>\n\n<|im_start|>user")

    complete, prompts = apart(tokenizer, [LONG], change)
    assert complete["faults"] == ["system", "user", "template", "earlier turns"] and len(prompts) == 16
    (found,) = prompts[frozenset(["template"])]
    assert found.count("<|im_end|>\n\n<|im_start|>user") == 2 and found.endswith("Sam:")
    assert "You are Sam. Reply." in found and "Context:" not in found and "\nno<" not in found


def test_start_tokens_of_a_captured_prompt_are_a_fault():
    with_bos = TOKENIZERS["llama3"]()
    bos = with_bos.bos_token
    assert apart(with_bos, ROWS, lambda text: bos + text)[0]["faults"] == ["doubled BOS"]
    assert apart(with_bos, ROWS, lambda text: text.removeprefix(bos))[0]["faults"] == ["missing BOS"]


def test_start_token_after_white_space_stays_whole():
    with_bos = TOKENIZERS["llama3"]()
    app = captured(with_bos, ROWS[:1], lambda text: "\n" + text)
    found = prompt_pieces.of_prompt(ROWS[0], with_bos, app, PLACES[0])
    assert prompt_pieces.joined(found, set(prompt_formats.FAULTS), with_bos) == app["rows"][PLACES[0]]
    assert prompt_pieces.joined(found, set(), with_bos) == chat_format.prompt_ids(ROWS[0], with_bos)


def test_model_with_other_aspects_is_refused(tokenizer):
    """The faults are those of the main model; another model's template may find more."""
    app = captured(tokenizer, ROWS, lambda text: ASPECTS["end"](ASPECTS["system"](text)))
    one = {"name": "system", "faults": ["system"], "own": {"system"}, "read": True}
    refused(lambda: prompt_formats.prompt_ids(ROWS[0], tokenizer, one, app, PLACES[0]), "aspects (end)", "not split")


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(TOKENIZERS)))
def test_all_aspects_are_the_apps_prompt_and_none_is_trainings(data, family):
    tokenizer = TOKENIZERS[family]()
    row = next(row for row in (LONG, {"messages": LONG["messages"][1:]}) if rendered(row, tokenizer))
    pieces_of_text = st.sampled_from(
        ["You are Sam.", "Contact: hi", "yo", "\n", " ", "hey", *tokenizer.all_special_tokens]
    )
    texts = pieces_of_text | st.text(max_size=5)
    changes = data.draw(st.lists(st.tuples(texts, texts), max_size=3))

    def change(text):
        for old, new in changes:
            text = text.replace(old, new, 1) if old else text + new
        return text or "x"

    app = captured(tokenizer, [row], change)
    found = prompt_pieces.of_prompt(row, tokenizer, app, PLACES[0])
    assert prompt_pieces.joined(found, set(), tokenizer) == chat_format.prompt_ids(row, tokenizer)
    assert prompt_pieces.joined(found, set(prompt_formats.FAULTS), tokenizer) == app["rows"][PLACES[0]]
    assert {piece.aspect for piece in found} - {""} <= set(prompt_formats.FAULTS)


def rendered(row, tokenizer):
    try:
        return chat_format.prompt_ids(row, tokenizer)
    except Exception:  # Gemma's template refuses a system message
        return None


def historical_text(example):
    return chat_format.prompt_of(example, HISTORICAL)


@pytest.mark.parametrize("kind", ["callable", "captured"])
def test_known_and_read_prompts_have_the_same_costs(kind, tmp_path, adapter, tokenizer):
    """A template profile is split by its texts; the same prompts without these texts are read."""
    app = chat_format.load_profile({"kind": "callable", "function": f"{__name__}:historical_text"}) | {"name": "mine"}
    if kind == "captured":
        prompts = {place: historical_text(row) for row, place in zip(ROWS, PLACES)}
        app = {"kind": "captured", "name": "mine", "file": "prompts.jsonl", "broken": [], "rows": prompts}
    found = {}
    for profile in (HISTORICAL, app):
        made, formats, same, _ = formats_of(tokenizer, profile)
        results_of = arms.measure(tmp_path / "arms", models_of(adapter), formats, TESTED, profile, "Sam", longest=4)
        tuned = arms.by_model(results_of["scores"], "adapter")
        found[profile["name"]] = attribution.of_model(tuned, made, same, NAMES)
    assert found["mine"] == found["historical"] and found["mine"]["faults"] == ["system", "user"]
    shares = [one["nats_per_reply_token"] for one in found["mine"]["shares"]]
    cost = found["mine"]["whole"]["nats_per_reply_token"]
    assert cost != 0 and all(shares) and sum(shares) == pytest.approx(cost)


# --- likelihood -------------------------------------------------------------------------------


def losses_alone(model, prompt, reply, end):
    """The loss of each token after the prompt, in a batch of one."""
    ids = mx.array([prompt + reply + end])
    logits = model(ids[:, :-1])[0].astype(mx.float32)
    losses = mx.logsumexp(logits, -1) - mx.take_along_axis(logits, ids[0, 1:, None], -1)[:, 0]
    return np.array(losses)[len(prompt) - 1 :]


@pytest.mark.parametrize("profile", ["aligned", "historical"])
def test_batched_scores_equal_single_scores(profile):
    model, tokenizer = base_models.load("tiny")
    prompts = [chat_format.prompt_ids(row, tokenizer, chat_format.load_profile(profile, "Sam")) for row in ROWS]
    targets = chat_format.reply_ids(ROWS, tokenizer)
    scores = likelihood.score(model, prompts, targets)
    for at, (prompt, (reply, end)) in enumerate(zip(prompts, targets)):
        losses = losses_alone(model, prompt, reply, end)
        assert scores["tokens"][at] == len(reply)
        assert scores["reply"][at] == pytest.approx(losses[: len(reply)].sum(), abs=1e-4)
        assert scores["end"][at] == pytest.approx(losses[-1], abs=1e-4)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_batched_scores_and_replies_equal_single_ones_for_other_architectures(make):
    model, generator = make(), np.random.default_rng(0)
    shared = generator.integers(3, 60, 40).tolist()
    prompts = [shared + generator.integers(3, 60, size).tolist() for size in (3, 9, 30, 4, 5)]
    targets = [(generator.integers(3, 60, size).tolist(), [2]) for size in (1, 4, 2, 8, 3)]
    scores = likelihood.score(model, prompts, targets)
    for at, (prompt, (reply, end)) in enumerate(zip(prompts, targets)):
        assert scores["reply"][at] == pytest.approx(losses_alone(model, prompt, reply, end)[:-1].sum(), abs=1e-4)
    made = generation.generate(model, Letters, prompts, longest=6)
    for prompt, reply in zip(prompts, made):
        steps = generate_step(mx.array(prompt), model, max_tokens=6)
        alone = [token for token, _ in itertools.takewhile(lambda step: step[0] != 2, steps)]
        assert reply["text"] == Letters.decode(alone)


class Letters:
    """The parts of a tokenizer that generation needs."""

    eos_token_ids = {2}
    decode = staticmethod(lambda ids: " ".join(map(str, ids)))


def test_reply_without_end_of_turn_has_nan_end():
    model, tokenizer = base_models.load("tiny")
    scores = likelihood.score(model, [[5, 6, 7]], [([8, 9], [])])
    assert np.isnan(scores["end"]).all() and scores["tokens"].tolist() == [2]
    rows = {"examples": ROWS[:1], "conversations": ["a"]}
    assert results.arm("m", prompt_formats.ALIGNED, scores, rows)["nats_per_end_of_turn"] is None


# --- intervals --------------------------------------------------------------------------------


def test_arm_mean_is_per_token_and_inside_its_interval():
    rows = {"examples": [example(reply="four")] * 4, "conversations": ["a", "a", "b", "c"]}
    made = results.arm("base", prompt_formats.ALIGNED, scores([2, 4, 6, 8], 2), rows)
    assert made["nats_per_reply_token"] == 2.5
    assert made["bits_per_byte"] == pytest.approx(5 / np.log(2) / 4)
    assert made["interval"][0] < 2.5 < made["interval"][1]
    assert (made["replies"], made["conversations"], made["reply_tokens"]) == (4, 3, 8)


# --- attribution ------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_shapley_shares_add_up_to_the_whole_cost(count, seed):
    names = list("abcd")[:count]
    generator = np.random.default_rng(seed)
    by_set = {one: scores(generator.normal(4, 1, 12)) for one in attribution._subsets(names)}
    found = attribution.attribute(by_set, names, [str(at // 3) for at in range(12)])
    shares = [one["nats_per_reply_token"] for one in found["shares"]]
    assert sum(shares) == pytest.approx(found["whole"]["nats_per_reply_token"])
    if count == 2:  # 2² arms: v(ab) - v() = both main effects
        assert sum(one["nats_per_reply_token"] for one in found["main"]) == pytest.approx(sum(shares))


def test_factors_change_tokens_and_can_be_combined(tokenizer):
    made, _, same, _ = formats_of(tokenizer, every=True)
    chosen, without = attribution.factors(made, same)
    assert chosen == ["system", "user", "no template"] and "template" in without and "doubled BOS" in without
    assert attribution.of_model({}, made, same, NAMES) is None  # no arm was measured


# --- archaeology ------------------------------------------------------------------------------


def test_archaeology_of_three_conversations():
    """Gains of 4, 5 and 6 nats under x: mean 5, standard deviation 1, so 5 ± t(0.975, 2)/√3 = 5 ± 2.484."""
    base = {"x": scores([6, 7, 8]), "y": scores([6, 7, 8]), "only here": scores([1, 1, 1])}
    tuned = {"y": scores([6, 7, 7]), "x": scores([2, 2, 2]), "not there": scores([1, 1, 1])}
    x, y = archaeology.rank(base, tuned, list("abc"))
    assert (x["format"], x["gain"], x["first"], x["loss"], x["behind"]) == ("x", 5, 1, 2, None)
    assert x["interval"] == pytest.approx([5 - 2.484, 5 + 2.484], abs=1e-3)
    equal = {"nats_per_reply_token": 0, "interval": [0, 0], "p": 1, "verdict": "not distinguishable"}
    assert x["above_lowest"] == equal | {"family": None, "needed": None}
    assert (y["format"], y["first"], y["loss"]) == ("y", 0, 20 / 3) and y["gain"] == pytest.approx(1 / 3)
    assert y["behind"]["nats_per_reply_token"] == y["above_lowest"]["nats_per_reply_token"] == pytest.approx(14 / 3)
    assert y["above_lowest"]["verdict"] == "worse"
    first, _, rejected, last = archaeology.listing({"ranked": [x, y], "refused": ["z", "no system"]}).splitlines()
    assert first.startswith("x    ") and first.endswith(
        " saves +5.000 nats per reply token (+2.516 to +7.484), ranked first in 100% of resamples; "
        "2.000 nats with the adapter"
    )
    assert rejected == "This model's template rejects: z, no system message" and last == archaeology.summary([x, y])
    tied = archaeology.rank(base, {name: scores([2, 2, 2]) for name in "xy"}, list("abc"))
    assert [row["first"] for row in tied] == [0.5, 0.5]
    unmoved = archaeology.rank(base, {"x": scores([6, 7, 8]), "y": scores([6, 7, 7.5])}, list("abc"))
    assert [row["format"] for row in unmoved] == ["y", "x"] and unmoved[1]["gain"] == 0


def test_the_candidates_are_the_studys_formats_and_the_apps(tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: messages\nuser: hi\n")
    found = {one["name"]: one for one in archaeology.candidates("Sam", [tmp_path / "mine.yaml"])}
    assert list(found) == [*chat_format.named_profiles("Sam"), "tagged", "no system", "mine", "no template"]
    assert found["no system"]["profile"] == {"kind": "messages", "system": False}
    assert found["no template"] == {"name": "no template", "faults": ["no template"]}


def test_archaeology_ranks_by_gain_and_says_when_inconclusive():
    names = [str(at) for at in range(20)]
    noise = np.random.default_rng(0).normal(0, 0.1, 20)
    base = {"x": scores(noise + 8), "y": scores(noise + 8), "z": scores(noise + 9)}
    clear = archaeology.rank(base, {"x": scores(noise + 4), "y": scores(noise + 6), "z": scores(noise + 8)}, names)
    assert [row["format"] for row in clear] == ["x", "y", "z"] and clear[0]["first"] == 1
    assert archaeology.summary(clear).startswith("The adapter was trained under “x”")
    level = archaeology.rank(base, {name: scores(noise + 4) for name in "xy"}, names)
    assert "measures, 1 of 1 other formats (y) are not distinguishable" in archaeology.summary(level)
    torn = archaeology.rank(base, {"x": scores(noise + 4), "z": scores(noise + 4.5)}, names)
    assert torn[0]["format"] == "z" and "lowest under “x”" in archaeology.summary(torn)
    nothing = archaeology.rank(base, {"x": scores(noise + 9)}, names)
    assert "none of the formats" in archaeology.summary(nothing)
    assert archaeology.rank(base, {}, names) == []
    assert archaeology.summary([]) == "Inconclusive: the adapter was not measured."
    assert archaeology.summary(clear[:1]) == "Inconclusive: only one format was measured."


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(3, 9), min_size=2, max_size=5), st.integers(0, 99))
def test_adapter_that_learned_nothing_about_formats_is_inconclusive(handicaps, seed):
    """Its loss is the same under every format, however bad the base model is under some."""
    names, random = [str(at) for at in range(20)], np.random.default_rng(seed)
    base = {str(at): scores(random.normal(cost, 0.1, 20)) for at, cost in enumerate(handicaps)}
    tuned = {name: scores(np.full(20, 2.0)) for name in base}
    assert "Inconclusive" in archaeology.summary(archaeology.rank(base, tuned, names))


# --- generation -------------------------------------------------------------------------------


def test_batched_replies_equal_mlx_lm_generate():
    import mlx_lm

    model, tokenizer = base_models.load("tiny")
    prompts = prompts_of(tokenizer, prompt_formats.ALIGNED)
    made = generation.generate(model, tokenizer, prompts, longest=8)
    alone = [mlx_lm.generate(model, tokenizer, prompt, max_tokens=8) for prompt in prompts]
    assert [reply["text"] for reply in made] == [text.strip() for text in alone]
    assert all(reply["stopped"] or reply["tokens"] == 8 for reply in made)


def test_sampled_replies_depend_on_seed_not_on_batch():
    model, tokenizer = base_models.load("tiny")
    prompts = prompts_of(tokenizer, prompt_formats.ALIGNED)
    write = lambda prompts, seed: [  # noqa: E731
        reply["text"] for reply in generation.generate(model, tokenizer, prompts, 8, temperature=1.0, seed=seed)
    ]
    assert write(prompts, 1) == write(prompts, 1) != write(prompts, 2)
    assert write(prompts, 1)[:2] == write(prompts[:2], 1)


def test_reply_cut_at_the_token_limit_is_not_stopped():
    model, tokenizer = base_models.load("tiny")
    made = generation.generate(model, tokenizer, prompts_of(tokenizer, prompt_formats.ALIGNED)[:2], longest=3)
    assert [reply["tokens"] for reply in made if not reply["stopped"]] == [3] * sum(not r["stopped"] for r in made)


# --- arms and what cannot be measured ---------------------------------------------------------


@pytest.fixture
def adapter(tmp_path):
    """An adapter of the tiny model, as mlx-lm writes it."""
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    parameters = {"rank": 4, "scale": 2.0, "dropout": 0.0}
    model, _ = base_models.load("tiny")
    model.freeze()
    linear_to_lora_layers(model, 2, parameters)
    tensors = {name: value + 0.05 for name, value in tree_flatten(model.trainable_parameters())}
    folder = tmp_path / "adapter"
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters, "model": "tiny"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def models_of(*adapters):
    made = [{"name": "base", "model": "tiny", "adapter": None, "base": None, "formats": None, "writes": ["aligned"]}]
    return made + [
        {"name": path.name, "model": "tiny", "adapter": str(path), "base": "base", "formats": None, "writes": []}
        for path in adapters
    ]


def measure(folder, *adapters, formats=(prompt_formats.ALIGNED,), rows=TESTED):
    return arms.measure(folder, models_of(*adapters), list(formats), rows, HISTORICAL, "Sam", longest=4)


def test_arms_are_measured_once_and_stored(tmp_path, adapter, monkeypatch):
    first = measure(tmp_path / "arms", adapter)
    assert not np.allclose(first["scores"]["base", "aligned"]["reply"], first["scores"]["adapter", "aligned"]["reply"])
    monkeypatch.setattr(base_models, "load", lambda *_: pytest.fail("measured again"))
    again = measure(tmp_path / "arms", adapter)
    assert again["written"] == first["written"] and again["costs"] == first["costs"]
    assert all((again["scores"][key]["reply"] == value["reply"]).all() for key, value in first["scores"].items())


def test_damaged_file_is_measured_again(tmp_path):
    first = measure(tmp_path / "arms")
    for path in (tmp_path / "arms").iterdir():
        path.write_text("{")
    assert measure(tmp_path / "arms")["written"] == first["written"]


def test_changed_weights_are_measured_again(tmp_path, adapter):
    first = measure(tmp_path / "arms", adapter)
    tensors = mx.load(str(adapter / "adapters.safetensors"))
    mx.save_safetensors(str(adapter / "adapters.safetensors"), {name: value * 3 for name, value in tensors.items()})
    again = measure(tmp_path / "arms", adapter)
    assert (first["scores"]["adapter", "aligned"]["reply"] != again["scores"]["adapter", "aligned"]["reply"]).any()


def broken(adapter, name, change):
    folder = adapter.parent / name
    shutil.copytree(adapter, folder)
    tensors = mx.load(str(folder / "adapters.safetensors"))
    mx.save_safetensors(str(folder / "adapters.safetensors"), change(tensors))
    return folder


def test_model_that_cannot_be_loaded_is_left_out(tmp_path, adapter):
    other = broken(adapter, "of_another_model", lambda tensors: {n: v[:3] for n, v in tensors.items()})
    partial = broken(adapter, "partial", lambda tensors: dict(list(tensors.items())[1:]))
    nowhere = tmp_path / "nowhere"
    infinite = broken(adapter, "infinite", lambda tensors: {n: v * float("inf") for n, v in tensors.items()})
    found = measure(tmp_path / "arms", other, partial, nowhere, infinite, adapter)
    assert set(found["scores"]) == {("base", "aligned"), ("adapter", "aligned")}
    why = {one["arm"]: one["why"] for one in found["left_out"]}
    assert set(why) == {"of_another_model", "partial", "nowhere", "infinite, aligned"}
    assert "trained on this very model" in why["of_another_model"]
    assert "lacks 1 of" in why["partial"] and "nowhere" in why["nowhere"] and "not a number" in why["infinite, aligned"]


def test_a_model_without_a_tokenizer_or_adapter_is_left_out_once(tmp_path):
    base, nowhere = models_of(tmp_path / "nowhere")
    gone = base | {"name": "gone", "model": str(tmp_path / "gone")}
    formats = [prompt_formats.ALIGNED, {"name": "no system", "faults": ["no system"]}]
    found = arms.measure(tmp_path / "arms", [base, gone, nowhere], formats, TESTED, HISTORICAL, "Sam", longest=2)
    assert list(found["scores"]) == [("base", "aligned"), ("base", "no system")]
    assert [one["arm"] for one in found["left_out"]] == ["gone", "nowhere"]


def trained(name, model="m/one", **more):
    return {"name": name, "model": model, "adapter": f"adapters/{name}"} | more


def test_which_models_are_measured_and_write_in_which_formats():
    runs = [
        trained("mine", option="B", repeat=0),
        trained("mine_seed2", option="B", repeat=1, label="tuned, seed 2"),
        trained("mine_option_a", option="A", repeat=0, label="option A"),
        trained("other", "m/two"),
        trained("third", "n/two"),
    ]
    formats = [{"name": name} for name in ("aligned", "app", "user")]
    made = arms.models(runs, formats, "app", "wrapped", fused="fused")
    both = ["aligned", "app"]
    assert [(one["name"], one["base"], one["formats"], one["writes"], one["own"]) for one in made] == [
        ("base", None, None, ["aligned"], "aligned"),
        ("tuned", "base", None, both, "aligned"),
        ("tuned, seed 2", "base", both, [], "aligned"),
        ("option A", "base", [*both, "wrapped"], both, "wrapped"),
        ("base two", None, both, ["aligned"], "aligned"),
        ("other", "base two", both, both, "aligned"),
        ("base n/two", None, both, ["aligned"], "aligned"),
        ("third", "base n/two", both, both, "aligned"),
        ("fused", "base", both, both, "aligned"),
    ]
    assert (made[-1]["model"], made[-1]["adapter"], made[-1]["option"]) == ("fused", None, None)
    all_three = [*both, "user"]
    every = arms.models(runs[:2], formats, "app", "wrapped", every=True)
    assert [(one["formats"], one["writes"]) for one in every] == [(None, all_three), (None, all_three), (None, [])]


def test_error_says_why_no_arm_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(base_models, "load_tokenizer", lambda _: (_ for _ in ()).throw(ValueError("no such thing")))
    refused(lambda: measure(tmp_path), "None of the arms", "no such thing")


def test_comparison_works_with_a_single_row(tmp_path, adapter, tokenizer):
    one = {key: values[:1] for key, values in TESTED.items()}
    made, formats, same, _ = formats_of(tokenizer)
    found = measure(tmp_path, adapter, formats=formats, rows=one)
    base, tuned = (arms.by_model(found["scores"], name) for name in ("base", "adapter"))
    assert attribution.of_model(tuned, made, same, ["a"])["whole"]["verdict"] == "not distinguishable"
    assert archaeology.summary(archaeology.rank(base, tuned, ["a"]))
    assert results.generated(found, one, ["yo"])["arms"][0]["to_floor"]["interval"] is None


def test_written_replies_are_compared_with_the_persons_own():
    own = ["yo", "see you there", "ok"]
    asked = {"examples": [example(reply=reply) for reply in own], "conversations": list("abc")}
    texts = {("base", "aligned"): ("Hello!", "I would be glad to.", "Yes, of course."), ("tuned", "app"): tuple(own)}
    written = {arm: [{"text": text, "stopped": at == 0} for at, text in enumerate(said)] for arm, said in texts.items()}
    lengths = {"tokens": np.array([1, 3, 4]), "end": np.array([0.1, 0.2, np.nan])}
    measured = {"written": written, "scores": dict.fromkeys(texts, lengths), "longest": 3}
    found = results.generated(measured, asked, own * 4)
    assert found["longest"] == 3 and found["ceiling"]["measures"]["too_long"] == 2 / 3  # of 2, 4 and 4 tokens
    assert {arm["too_long"] for arm in found["arms"]} == {2 / 3} and {arm["looping"] for arm in found["arms"]} == {0}
    assert found["ceiling"]["measures"]["words"] == found["ceiling"]["measures"]["true_words"] == 1
    assert found["ceiling"]["measures"]["end_of_turn_rate"] == 1
    base, tuned = found["arms"]
    assert [(arm["model"], arm["format"], arm["words"]) for arm in (base, tuned)] == [
        ("base", "aligned", 3),
        ("tuned", "app", 1),
    ]
    assert base["end_of_turn_rate"] == 1 / 3 and base["end_of_turn_interval"] == [0, 1]  # not below 0, not above 1
    assert base["to_floor"]["distance"] == 0 > tuned["to_floor"]["distance"]
    assert base["to_aligned"] is None and tuned["to_aligned"] is None  # tuned was not asked as in training
    (sample,) = results.samples(asked, written, 1)
    assert sample["context"] == "Contact: hey\nSam: yo\nContact: dinner?" and sample["true"] == "yo"
    assert [(one["text"], one["stopped"]) for one in sample["replies"]] == [("Hello!", True), ("yo", True)]


def test_differences_worth_knowing():
    models = [{"name": "base", "base": None}, {"name": "tuned", "base": "base"}]
    formats = [{"name": "aligned"}, {"name": "app"}, {"name": "shots", "shots": 2}, {"name": "similar", "shots": 2}]
    measured = ["base aligned", "base app", "base shots", "tuned aligned", "tuned app", "fused aligned", "base similar"]
    found = {tuple(arm.split()): scores([at, at]) for at, arm in enumerate(measured)}
    rows = results.differences(found, models, formats, {"conversations": ["a", "b"], "leaked": [False, False]})
    assert [(*row["left"], *row["right"], row["nats_per_reply_token"]) for row in rows] == [
        ("tuned", "aligned", "base", "aligned", 3),
        ("tuned", "app", "base", "app", 3),
        ("base", "app", "base", "aligned", 1),
        ("base", "shots", "base", "aligned", 2),
        ("base", "similar", "base", "aligned", 6),
        ("tuned", "app", "tuned", "aligned", 1),
        ("fused", "aligned", "tuned", "aligned", 2),
        ("tuned", "aligned", "base", "shots", 1),
        ("tuned", "aligned", "base", "similar", -3),
    ]
    assert not any("leaked" in row for row in rows)


def test_options_are_compared_over_the_seeds_that_both_were_measured_with():
    models = [{"name": f"{option}{seed}", "option": option, "seed": seed} for option in "AB" for seed in (0, 1)]
    found = {("A0", "wrapped"): scores([12, 13, 14]), ("B0", "aligned"): scores([1, 1, 1])}
    found[("B1", "aligned")] = scores([9, 9, 9])
    (own,) = results.training_formats(found, models, list("abc"), "wrapped", "app").items()
    assert own[0] == "own" and own[1]["each_seed"] == [-12]
    assert own[1]["interval"] == pytest.approx([-12 - 2.484, -12 + 2.484], abs=1e-3)
    assert own[1]["formats"] == {"A": "wrapped", "B": "aligned"} and own[1]["verdict"] == "better"
    assert results.training_formats(found, models[2:], list("abc"), "wrapped", "app") is None


# --- which replies ----------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A function that writes rows, and their conversations if given, and returns the folder."""

    def write(rows, conversations=(), split="test"):
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
        meta = [{"split": split, "row": at, "conversation": name} for at, name in enumerate(conversations)]
        write_jsonl(tmp_path / "meta.jsonl", meta)
        return tmp_path

    return write


def test_held_out_rows_are_spread_over_the_split(data):
    rows = [example(reply=str(at)) for at in range(100)]
    found = heldout.held_out(data(rows, [str(at // 10) for at in range(100)]), 10)
    assert found["rows"] == list(range(5, 100, 10)) and len(set(found["conversations"])) == 10
    assert found["grouping"] == {"known": "recorded", "linked": 100, "rows": 100}
    assert heldout.held_out(data(rows[:2], ["a", "b"]), 50)["places"] == [("test", 0), ("test", 1)]


@pytest.mark.parametrize(
    "names, count, rows",
    [
        ("aaaaaaaabc", 4, [2, 6, 8, 9]),
        ("aaaaaaaabc", 2, [4, 9]),
        ("aaaaaaaabbbc", 6, [1, 4, 6, 8, 10, 11]),
        ("abababab", 4, [2, 3, 6, 7]),
        ("abcdefghi", 3, [0, 4, 8]),
        ("aaaa", 2, [1, 3]),
        ("aab", 9, [0, 1, 2]),
        ("", 3, []),
    ],
)
def test_as_many_conversations_as_possible_are_heard(names, count, rows):
    assert heldout.choose(list(range(len(names))), list(names), count) == rows


@given(st.lists(st.sampled_from("abcdefgh")), st.integers(0, 40), st.data())
def test_conversations_are_heard_equally_often(names, count, data):
    usable = [at for at in range(len(names)) if data.draw(st.booleans())]
    rows = heldout.choose(usable, names, count)
    assert rows == sorted(set(rows)) and set(rows) <= set(usable) and len(rows) == min(count, len(usable))
    there, heard = (Counter(names[row] for row in some) for some in (usable, rows))
    assert len(heard) == min(len(there), count)
    for name in there:
        assert heard[name] == there[name] or heard[name] >= max(heard.values(), default=1) - 1


def test_inferred_conversations_are_heard_equally_often(data):
    lines = [f"a line of conversation {chat}, long enough to know it" for chat in "aaaaaaaabc"]
    rows = [example(user=f"Contact: {line}", reply=str(at)) for at, line in enumerate(lines)]
    found = heldout.held_out(data(rows), 3)
    assert found["rows"] == [4, 8, 9] and found["grouping"]["known"] == "inferred"
    recorded = {("test", row) for row in (0, 1, 2, 9)}
    assert heldout.held_out(data(rows), 2, recorded=recorded)["rows"] == [1, 9]


def test_recorded_app_is_compared_on_recorded_rows(data):
    folder = data([example(reply=str(at)) for at in range(20)], ["a"] * 20)
    recorded = {("test", 3), ("test", 5), ("test", 7), ("test", 99), ("train", 8)}
    assert heldout.held_out(folder, 9, recorded=recorded)["rows"] == [3, 5, 7]


def test_rows_without_a_reply_are_skipped_and_counted(data):
    empty, hi, blank, yo = (example(reply=reply) for reply in ("", "hi", " ", "yo"))
    rows = [empty, hi, {"messages": []}, {"text": "x"}, blank, yo]
    found = heldout.held_out(data(rows, list("abcdef")), 9)
    assert found["rows"] == [1, 5] and found["conversations"] == ["b", "f"] and found["unusable"] == 4
    refused(lambda: heldout.held_out(data(rows[:1]), 9), "None of the 1 rows", "ftstudy audit")


def test_prompts_and_completions_are_compared_as_messages(data):
    found = heldout.held_out(data([{"prompt": "hey", "completion": "yo"}]), 9)
    assert [turn["content"] for turn in found["examples"][0]["messages"]] == ["hey", "yo"]


def test_differences_say_what_rests_on_replies_that_training_gives_away():
    models = [{"name": "base", "base": None}, {"name": "tuned", "base": "base"}]
    # the first two replies are remembered
    found = {("tuned", "aligned"): scores([0, 0, 2, 2]), ("base", "aligned"): scores([2, 2, 1, 2])}
    asked = {"conversations": list("abcd"), "leaked": [True, True, False, False]}
    (row,) = results.differences(found, models, [{"name": "aligned"}], asked)
    assert row["nats_per_reply_token"] == pytest.approx((0 + 0 + 2 + 2 - 2 - 2 - 1 - 2) / 4)
    assert row["leaked"] == 2 and row["without_leaked"]["nats_per_reply_token"] == pytest.approx(0.5)
    asked["leaked"] = [True, True, True, False]  # a single reply is no comparison
    (row,) = results.differences(found, models, [{"name": "aligned"}], asked)
    assert row["leaked"] == 3 and row["without_leaked"] is None
