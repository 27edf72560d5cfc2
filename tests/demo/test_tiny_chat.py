"""The committed tiny chat model: made by the committed recipe, polite, and improved by a fine-tune."""

import contextlib

import numpy as np
import pytest
import staged_finetunes
from ftstudy import training
from ftstudy.chat_format.tokens import template_ids
from ftstudy.compare import checkpoints, generation, intervals
from ftstudy.demo import small_talk, tiny_chat
from ftstudy.models import base_models, recipes
from mlx.utils import tree_flatten


@pytest.fixture(scope="module")
def base():
    return base_models.load(tiny_chat.FOLDER)


def test_the_committed_model_has_the_committed_recipes_shape_and_tokenizer(base, tmp_path):
    recipe = tiny_chat.RECIPE
    talks = tiny_chat.chats(recipe["seed"], recipe["conversations"])
    recipes.train_tokenizer(tmp_path, recipe, (turn["content"] for talk in talks for turn in talk))
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tiny_chat.FOLDER / name).read_bytes() == (tmp_path / name).read_bytes(), name
    weights = dict(tree_flatten(base[0].parameters()))
    assert len(base[0].layers) == recipe["config"]["num_hidden_layers"]
    assert weights["model.embed_tokens.weight"].shape == (recipe["vocabulary_size"], recipe["config"]["hidden_size"])
    assert (tiny_chat.FOLDER / "model.safetensors").stat().st_size < 1_000_000


def test_the_same_seed_gives_the_same_conversation_and_other_seeds_give_others():
    one, again, other = (small_talk.sessions(seed, "casual", "sam", 2) for seed in ("a", "a", "b"))
    assert one == again != other


def test_the_recipe_trains(tmp_path):
    said = []
    tiny_chat.build(tmp_path, [{"tokens": 64, "batch_size": 8, "steps": 50}], tell=said.append)
    nats = float(said[-1].split(": ")[1].split()[0])
    assert nats < 0.7 * np.log(tiny_chat.RECIPE["vocabulary_size"])  # what an untrained model needs
    assert base_models.load(tmp_path)[1].chat_template == tiny_chat.RECIPE["chat_template"]


def test_the_base_model_answers_politely_and_ends(base):
    model, tokenizer = base
    rows = staged_finetunes.rows_of_sam()["test"][:40]
    prompts = [template_ids(row["messages"][:-1], tokenizer, prompt=True) for row in rows]
    replies = generation.generate(model, tokenizer, prompts, longest=48)
    assert np.mean([reply["stopped"] for reply in replies]) > 0.9
    assert np.mean([reply["text"][:1].isupper() for reply in replies]) > 0.9
    assert np.mean([reply["text"].isascii() for reply in replies]) > 0.9  # no emoji


@pytest.mark.slow
def test_a_lora_lowers_the_loss_of_held_out_replies_distinguishably(tmp_path):
    """Of the owner, in whose style the base model never answers."""
    fault = {"config": staged_finetunes.WITH_STUDY | {"iters": 40}}
    staged_finetunes.train(fault, tmp_path / "project")
    with contextlib.chdir(tmp_path / "project"):
        _, tuned = checkpoints.score(training.read("config.yaml"), 40)["rows"]
    assert tuned["to_base"]["verdict"] == intervals.BETTER
