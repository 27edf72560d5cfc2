"""Replies that a model writes: batched, seeded, by mlx-lm's own batch generator."""

from collections.abc import Callable

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from ..progress import bar

LONGEST = 48  # tokens of a reply, unless told: four of five of the demo's true replies are shorter
BATCH = 64


def generate(
    model,
    tokenizer,
    prompts: list[list[int]],
    longest: int = LONGEST,
    temperature: float = 0.0,
    seed: int = 0,
    label: str = "",
) -> list[dict]:
    """A reply to each prompt: {"text", "stopped", "tokens"}; `stopped` is false at `longest` tokens.

    Greedy at temperature 0. Above, each reply has random numbers of its own from `seed` and its
    place, so it does not depend on what else is in the batch.
    """
    generator = BatchGenerator(
        model,
        stop_tokens=[[token] for token in tokenizer.eos_token_ids],
        completion_batch_size=BATCH,
    )
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))  # neighbours need little padding
    samplers = [_sampler(temperature, seed, at) for at in order] if temperature else None
    places = generator.insert([prompts[at] for at in order], max_tokens=[longest] * len(order), samplers=samplers)
    at_place, written, stopped = dict(zip(places, order)), [[] for _ in prompts], [False] * len(prompts)
    with bar(total=len(prompts), desc=label or "writing", unit="reply") as shown:
        while responses := generator.next_generated():
            for response in responses:
                at = at_place[response.uid]
                stopped[at] = response.finish_reason == "stop"
                if not stopped[at]:
                    written[at].append(response.token)
                shown.update(response.finish_reason is not None)
    generator.close()
    return [
        {"text": tokenizer.decode(ids).strip(), "stopped": end, "tokens": len(ids) + end}
        for ids, end in zip(written, stopped)
    ]


def _sampler(temperature: float, seed: int, at: int) -> Callable:
    key = mx.random.key((seed << 32) + at)

    def sample(log_probabilities):
        nonlocal key
        key, now = mx.random.split(key)
        return mx.random.categorical(log_probabilities / temperature, key=now)

    return sample
