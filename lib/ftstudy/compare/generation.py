"""Replies that a model writes: batched and seeded, with mlx-lm's batch generator."""

from collections.abc import Callable, Iterator

import mlx.core as mx
from mlx_lm.generate import BatchGenerator, generate_step

from ..progress import bar

LONGEST = 48  # tokens of a reply, by default
BATCH = 64

Written = tuple[int, list[int], bool]  # index of the prompt, token ids of the reply, whether it stopped


def generate(
    model,
    tokenizer,
    prompts: list[list[int]],
    longest: int = LONGEST,
    temperature: float = 0.0,
    seed: int = 0,
    label: str = "",
) -> list[dict]:
    """A reply to each prompt: {"text", "stopped", "tokens"}. `stopped` is false if it was cut at `longest` tokens.

    Greedy at temperature 0. Above that, each reply has its own random numbers from `seed` and its index, so
    it doesn't depend on the rest of the batch. Replies are written one by one if mlx-lm can't batch the
    architecture.
    """
    stops = list(tokenizer.eos_token_ids)
    samplers = [_sampler(temperature, seed, at) for at in range(len(prompts))] if temperature else None
    with bar(total=len(prompts), desc=label or "writing", unit="reply") as shown:
        try:
            written = _shown(_batched(model, prompts, stops, longest, samplers), shown)
        except (ValueError, AttributeError, NotImplementedError):  # unexpected mask shapes or cache types
            shown.reset()
            written = _shown(_one_by_one(model, prompts, stops, longest, temperature, seed), shown)
    return [
        {"text": tokenizer.decode(ids).strip(), "stopped": stopped, "tokens": len(ids) + stopped}
        for _, ids, stopped in sorted(written)
    ]


def _shown(written: Iterator[Written], bar) -> list[Written]:
    found = []
    for one in written:
        found.append(one)
        bar.update()
    return found


def _batched(model, prompts, stops: list[int], longest: int, samplers: list | None) -> Iterator[Written]:
    generator = BatchGenerator(model, stop_tokens=[[token] for token in stops], completion_batch_size=BATCH)
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))  # similar lengths need little padding
    places = generator.insert(
        [prompts[at] for at in order],
        max_tokens=[longest] * len(order),
        samplers=[samplers[at] for at in order] if samplers else None,
    )
    at_place, ids = dict(zip(places, order)), [[] for _ in prompts]
    try:
        while responses := generator.next_generated():
            for response in responses:
                at, stopped = at_place[response.uid], response.finish_reason == "stop"
                if not stopped:
                    ids[at].append(response.token)
                if response.finish_reason is not None:
                    yield at, ids[at], stopped
    finally:
        generator.close()


def _one_by_one(model, prompts, stops: list[int], longest: int, temperature: float, seed: int) -> Iterator[Written]:
    for at, prompt in enumerate(prompts):
        sampler = _sampler(temperature, seed, at) if temperature else None
        ids, stopped = [], False
        for token, _ in generate_step(mx.array(prompt), model, max_tokens=longest, sampler=sampler):
            stopped = token in stops
            if stopped:
                break
            ids.append(token)
        yield at, ids, stopped


def _sampler(temperature: float, seed: int, at: int) -> Callable:
    key = mx.random.key((seed << 32) + at)

    def sample(log_probabilities):
        nonlocal key
        key, now = mx.random.split(key)
        return mx.random.categorical(log_probabilities / temperature, key=now)

    return sample
