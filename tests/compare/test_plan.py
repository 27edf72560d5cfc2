"""What a comparison is going to measure: which models, prompts and replies, and what is left out."""

import json
import shutil

import pytest
from conftest import example, refused
from ftstudy import paths, training
from ftstudy.compare import plan
from templates import tokenizer_folder

CONFIG = """\
model: tiny
data: raw_style_variable
adapter_path: adapter
train: true
num_layers: 2
lora_parameters: {rank: 4, scale: 10.0, dropout: 0.0}
mask_prompt: true
iters: 2
batch_size: 2
steps_per_eval: 2
val_batches: 1
ftstudy: {train_on: last}
"""
LONG = "one two three four five six seven eight"


def rows(*numbers):
    return [example(user=f"Contact: hey {at}", reply=f"{LONG} {at}") for at in numbers]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short training, and its entry of training.json."""
    folder = tmp_path_factory.mktemp("plan")
    for name, numbers in {"train": range(12), "valid": range(12, 16), "test": range(20, 26)}.items():
        path = folder / "raw_style_variable" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(*numbers)))
    (folder / "mine.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, training.train(training.read("mine.yaml"), folder / "metrics.jsonl")


@pytest.fixture
def planned(trained, tmp_path, monkeypatch):
    """`plan` of a copy of that folder, into which a test may write."""
    source, entry = trained
    folder = shutil.copytree(source, tmp_path / "study")
    monkeypatch.chdir(folder)
    run = paths.run_folder("test-plan")
    training.save_result(run, entry)
    yield lambda inference="historical", **more: plan.plan(run, "mine.yaml", "", inference, **{"replies": 6} | more)
    shutil.rmtree(run)


def write(split, *examples):
    with open(f"raw_style_variable/{split}.jsonl", "w") as file:
        file.writelines(json.dumps(one) + "\n" for one in examples)


def names(found):
    return [one["name"] for one in found["formats"]]


def test_the_trained_model_is_compared_with_its_base_as_the_app_asks_and_as_in_training(planned):
    found = planned(replies=4)
    assert [model["name"] for model in found["models"]] == ["base", "tuned"]
    assert {"aligned", "historical"} <= set(names(found)) and found["app"]["name"] == "historical"
    assert found["heldout"]["split"] == "test" and len(found["heldout"]["examples"]) == 4
    assert found["own"] == [row["messages"][-1]["content"] for row in rows(*range(12))]
    assert found["unseen"] == found["heldout"]["examples"] and not found["left_out"]
    assert not any("examples" in name for name in names(found))  # in the prompt: nobody asked for them
    assert set(found["own_faults"]) == {"system", "user", "template"}


def test_without_a_profile_training_s_own_prompt_is_the_app_s(planned):
    found = planned("")
    assert (found["app"]["name"], names(found), found["own_faults"]) == ("aligned", ["aligned"], [])


def test_examples_in_the_prompt_are_spread_over_the_training_rows(planned):
    found = {one["name"]: one for one in planned(shots=3)["formats"]}
    assert {"aligned, 3 examples", "aligned, 2 similar examples"} <= found.keys()
    said = json.dumps(found["aligned, 3 examples"], default=str)
    assert [at for at in range(12) if f'{LONG} {at}"' in said] == [0, 4, 8]
    assert not any("examples" in name for name in names(planned(shots=13)))  # more than there are rows
    assert "aligned, 12 examples" in names(planned(shots=12))


def test_a_training_row_that_gives_a_held_out_reply_away_is_no_similar_example(planned):
    said = {
        "when does the ferry leave on sunday?": "ten past nine from pier four, be there early to get a seat",
        "did the plumber ever show up?": "yeah he replaced both valves and charged me three hundred",
        "whose turn is it to feed the cats?": "mine until friday, then grandma takes over for two weeks",
    }
    memorized = [example(user=f"Ann: {asked}", reply=reply) for asked, reply in said.items()]
    write("train", *rows(*range(12)), *memorized)
    write("test", *memorized, *rows(20, 21))
    found = planned(shots=2)
    assert found["heldout"]["leaked"] == [True, True, True, False, False]
    assert found["unseen"] == rows(20, 21)
    similar = next(one for one in found["formats"] if "similar" in one)["similar"]
    assert len(similar) == 5 and not any(row in memorized for chosen in similar.values() for row in chosen)


def test_rows_without_a_reply_are_left_out_and_counted(planned):
    no_reply = {"messages": rows(30)[0]["messages"][:-1]}
    write("test", *rows(20, 21), no_reply)
    (left_out,) = planned()["left_out"]
    assert left_out == {"arm": "1 of 3 test rows", "why": "they don't end with a reply"}


def test_an_app_that_gives_no_prompt_is_left_out_and_the_models_are_compared_all_the_same(planned):
    with open("broken.py", "w") as file:
        file.write("def prompt(example):\n    raise ValueError('no such chat')\n")
    with open("broken.yaml", "w") as file:
        file.write("kind: callable\nfunction: broken:prompt\n")
    found = planned("broken.yaml")
    (left_out,) = found["left_out"]
    assert left_out["arm"] == "every model, broken" and "no such chat" in left_out["why"]
    assert names(found) == ["aligned"] and [model["name"] for model in found["models"]] == ["base", "tuned"]


def test_all_that_is_planned_is_measured(planned):
    found = plan.measure(planned("", replies=2), longest=2)
    arms = {("base", "aligned"), ("tuned", "aligned")}
    assert found["scores"].keys() == found["written"].keys() == arms and not found["left_out"]
    assert found["ability"].keys() == {"base", "tuned"}
    assert found["regurgitation"] == {}  # of two replies, a share would say nothing
    assert {"scoring base, aligned", "questions, tuned"} <= found["costs"].keys()


def test_a_model_whose_template_refuses_the_rows_cannot_be_compared(planned, tmp_path):
    run = paths.run_folder("test-plan")
    gemma = tokenizer_folder("gemma", tmp_path / "gemma")  # its template rejects system messages
    training.save_result(run, training.load_result(run, "mine") | {"model": str(gemma)})
    refused(planned, "cannot render raw_style_variable/test.jsonl", "System role not supported")


def test_a_run_that_was_not_trained_and_a_fused_model_that_is_not_there_are_said_first(planned, tmp_path):
    refused(lambda: planned(fused=str(tmp_path / "nowhere")), "nowhere")
    refused(lambda: plan.plan(tmp_path, "mine.yaml", "", "", replies=6), "training.json is missing")
