"""A chat model of 244,000 parameters that learned to talk: the base model of the sample and of staged fine-tunes.

    python -m ftstudy.demo.tiny_chat FOLDER    train it again (some minutes on two cores)

It was trained on made-up conversations (`small_talk`), in which the assistant is always polite. It has read how people
text, but never answers so: that is left to a fine-tune. The trained model is in data/sample/tiny-chat. Training again
gives an equally good model, but not the same bytes: those depend on the machine's BLAS.
"""

import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from .. import engine  # noqa: F401

# isort: split

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama

from .. import paths
from ..chat_format.tokens import template_ids
from ..engine import blas, cpu_math
from ..files import read_json
from ..models import base_models
from ..models.recipes import CHATML, train_tokenizer
from . import small_talk

FOLDER = paths.DATA / "sample" / "tiny-chat"
SYSTEM = "You are a helpful assistant."
RECIPE = {
    "seed": 1,
    "conversations": 6000,
    # Many short windows, then a few as long as prompts with examples are.
    "phases": [
        {"tokens": 128, "batch_size": 16, "steps": 1000},
        {"tokens": 512, "batch_size": 4, "steps": 60},
    ],
    "learning_rate": 4e-3,
    "config": {
        "hidden_size": 64,
        "intermediate_size": 168,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
    },
    "special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "vocabulary_size": 1024,
    "chat_template": CHATML.replace("You are a tiny model with random weights", SYSTEM),
}


def chats(seed: int, count: int) -> Iterator[list[dict]]:
    """`count` chats of made-up people with a polite assistant, as messages.

    In half of them the user shows a conversation and asks for the next reply, as fine-tuning rows do; in the others
    the two talk, and either may ask.
    """
    draw = random.Random(seed)
    for number in range(count):
        name, voice = draw.choice(small_talk.FRIENDS), draw.choice(small_talk.VOICES)
        system = draw.choice([None, None, SYSTEM, f"You are {name}.", f"You are {name}. Reply politely."])
        turns = [] if system is None else [{"role": "system", "content": system}]
        asks = draw.random() < 0.3
        answers = draw.choice(["short", "short", "sam"]) if asks else "polite"
        (talk,) = small_talk.sessions(f"{seed} {number}", "proper" if asks else voice, answers, 1)
        if number % 2 and not asks:
            yield turns + shown_to_the_assistant(talk, name, draw)
            continue
        if asks:
            turns.append({"role": "user", "content": draw.choice(["hi", "hey", "hello", "yo"])})
        for asked, answered in talk:
            roles = ("assistant", "user") if asks else ("user", "assistant")
            turns += [{"role": role, "content": text} for role, text in zip(roles, (asked, answered))]
        yield turns[:-1] if asks else turns


def shown_to_the_assistant(talk: list[tuple[str, str]], name: str, draw: random.Random) -> list[dict]:
    """The user's turn with a conversation up to some question, and the polite answer."""
    upto = draw.randrange(len(talk))
    lines = [line for asked, answered in talk[:upto] for line in (f"Contact: {asked}", f"{name}: {answered}")]
    asked, answered = talk[upto]
    content = "\n".join([*lines, f"Contact: {asked}"])
    return [{"role": "user", "content": content}, {"role": "assistant", "content": answered}]


def build(folder: Path, phases: list[dict] = RECIPE["phases"], tell: Callable[[str], None] = print) -> Path:
    """Train the model and write its folder. `phases`: fewer steps only to see that the recipe works."""
    folder.mkdir(parents=True, exist_ok=True)
    talks = list(chats(RECIPE["seed"], RECIPE["conversations"]))
    train_tokenizer(folder, RECIPE, (turn["content"] for talk in talks for turn in talk))
    _save(llama.Model(llama.ModelArgs.from_dict(read_json(folder / "config.json"))), folder)
    model, tokenizer = base_models.load(folder)
    _initialize(model)
    ids = np.array([token for talk in talks for token in template_ids(talk, tokenizer)])
    steps = sum(phase["steps"] for phase in phases)
    optimizer = optimizers.AdamW(_schedule(steps), betas=[0.9, 0.98], weight_decay=0.05)
    state = [model.state, optimizer.state]

    def loss(rows):
        return cpu_math.cross_entropy(model(rows[:, :-1]), rows[:, 1:]).mean()

    @partial(mx.compile, inputs=state, outputs=state)
    def step(rows):
        value, gradients = nn.value_and_grad(model, loss)(rows)
        optimizer.update(model, optimizers.clip_grad_norm(gradients, 1.0)[0])
        return value

    with blas.share_threads(blas.threads()):  # its matrices are too small for several threads
        for at, rows in enumerate(_batches(ids, phases), 1):
            value = step(mx.array(rows))
            mx.eval(value, state)
            if at % 50 == 0:
                tell(f"step {at} of {steps}: {value.item():.3f} nats per token")
    _save(model, folder)
    return folder


def _batches(ids: np.ndarray, phases: list[dict]) -> Iterator[np.ndarray]:
    """Windows of all chats one after another, at random places: (batch_size, tokens and one more)."""
    draw = np.random.default_rng(RECIPE["seed"])
    for phase in phases:
        windows = np.lib.stride_tricks.sliding_window_view(ids, phase["tokens"] + 1)
        for _ in range(phase["steps"]):
            yield windows[draw.integers(len(windows), size=phase["batch_size"])]


def _schedule(steps: int) -> Callable:
    """The learning rate of each step: up for a thirtieth of them, then down to zero."""
    warm, highest = max(steps // 30, 1), RECIPE["learning_rate"]
    parts = [optimizers.linear_schedule(highest / warm, highest, warm), optimizers.cosine_decay(highest, steps - warm)]
    return optimizers.join_schedules(parts, [warm])


def _initialize(model) -> None:
    """Small random weights from the recipe's seed; smaller ones where a layer adds to what goes through."""
    draw = np.random.default_rng(RECIPE["seed"])
    smaller, made = np.sqrt(2 * RECIPE["config"]["num_hidden_layers"]), []
    for name, value in tree_flatten(model.parameters()):
        if value.ndim == 2:
            adds = name.endswith(("o_proj.weight", "down_proj.weight"))
            value = mx.array(draw.normal(0, 0.05 / (smaller if adds else 1), value.shape).astype("float32"))
        made.append((name, value))
    model.load_weights(made)


def _save(model, folder: Path) -> None:
    mx.save_safetensors(
        str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), metadata={"format": "mlx"}
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]))
