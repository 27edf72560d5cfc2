"""Base model against tuned model, under each prompt format: likelihood and replies."""

from itertools import combinations

import mlx.core as mx
import numpy as np
from mlx_lm.generate import batch_generate

from . import chat_format, reply_logits
from .progress import bar

RESAMPLES = 2000


def held_out(examples: list[dict], conversations: list[str], count: int) -> tuple[list[dict], list[str], list[int]]:
    """`count` examples spread evenly over the split, so that many conversations are heard.

    Returns them with their conversations and their row numbers.
    """
    rows = np.unique(np.linspace(0, len(examples) - 1, min(count, len(examples))).round().astype(int)).tolist()
    return [examples[row] for row in rows], [conversations[row] for row in rows], rows


def score(
    model, tokenizer, examples: list[dict], profile: dict, rows: list[int], *, batch_size: int = 8, label: str = ""
) -> dict:
    """Negative log-likelihood of each true reply after the profile's prompt.

    Returns arrays with one entry an example: `reply` (nats, summed over the reply's own
    tokens), `tokens` (their number) and `end` (nats of the end-of-turn token, NaN where
    training would not end the turn). The scored tokens are the same under every format.
    """
    prompts = [
        chat_format.prompt_ids(example, tokenizer, profile, ("test", row)) for example, row in zip(examples, rows)
    ]
    targets = [chat_format.reply_ids(example, tokenizer) for example in examples]
    result = {
        "reply": np.zeros(len(examples)),
        "tokens": np.array([len(reply) for reply, _ in targets]),
        "end": np.full(len(examples), np.nan),
    }
    full = [prompt + reply + end for prompt, (reply, end) in zip(prompts, targets)]
    losses = [None] * len(full)
    logits_at = reply_logits.logits_function(model)
    order = sorted(range(len(full)), key=lambda index: len(full[index]))
    for start in bar(range(0, len(order), batch_size), desc=label or "scoring", unit="batch"):
        batch = order[start : start + batch_size]
        rows_of = [(np.array(full[index]), np.arange(len(prompts[index]), len(full[index]))) for index in batch]
        inputs, positions, wanted, _ = reply_logits.padded(rows_of)
        logits = logits_at(model, inputs, positions).astype(mx.float32)
        nats = mx.logsumexp(logits, axis=-1) - mx.take_along_axis(logits, wanted[..., None], axis=-1)[..., 0]
        for index, row in zip(batch, np.array(nats)):
            losses[index] = row[: len(full[index]) - len(prompts[index])]
    for index, row in enumerate(losses):
        count = result["tokens"][index]
        result["reply"][index] = row[:count].sum()
        if len(row) > count:
            result["end"][index] = row[count]
    return result


def arm(model: str, prompt_format: str, scores: dict, conversations: list[str]) -> dict:
    """One arm's measures: nats per reply token with a 95% interval, and per end of turn."""
    mean, interval = _ratio(scores["reply"], scores["tokens"], conversations)
    return {
        "model": model,
        "format": prompt_format,
        "replies": len(conversations),
        "conversations": len(set(conversations)),
        "resampled": "conversations" if len(set(conversations)) > 1 else "replies",
        "reply_tokens": int(scores["tokens"].sum()),
        "nats_per_reply_token": mean,
        "interval": interval,
        "nats_per_end_of_turn": None if np.isnan(scores["end"]).all() else float(np.nanmean(scores["end"])),
    }


def difference(left: tuple[str, str], right: tuple[str, str], scores: dict, conversations: list[str]) -> dict:
    """Left minus right in nats per reply token, on the same replies, with a 95% interval.

    The verdict is about the left arm: fewer nats is better; where the interval holds zero
    the two are not distinguishable.
    """
    delta = scores[left]["reply"] - scores[right]["reply"]
    mean, (low, high) = _ratio(delta, scores[left]["tokens"], conversations)
    verdict = "better" if high < 0 else "worse" if low > 0 else "not distinguishable"
    return {
        "left": list(left),
        "right": list(right),
        "nats_per_reply_token": mean,
        "interval": [low, high],
        "verdict": verdict,
    }


def differences(scores: dict, conversations: list[str]) -> list[dict]:
    """Every pair of arms that share the model or the prompt format."""
    return [
        difference(right, left, scores, conversations)
        for left, right in combinations(scores, 2)
        if left[0] == right[0] or left[1] == right[1]
    ]


def _ratio(nats: np.ndarray, tokens: np.ndarray, conversations: list[str], seed: int = 0) -> tuple[float, list[float]]:
    """Sum of nats over sum of tokens, with the 95% percentile interval of a bootstrap that
    resamples whole conversations (Efron & Tibshirani 1993, chapter 8: replies of one
    conversation are not independent). Of a single conversation the replies are resampled:
    an interval over it alone would have no width, and claim a certainty that is not there."""
    if len(set(conversations)) < 2:
        conversations = [str(at) for at in range(len(nats))]
    names, cluster = np.unique(conversations, return_inverse=True)
    nats_of = np.bincount(cluster, weights=nats, minlength=len(names))
    tokens_of = np.bincount(cluster, weights=tokens, minlength=len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    resampled = (draws @ nats_of) / np.maximum(draws @ tokens_of, 1)
    return float(nats.sum() / max(tokens.sum(), 1)), [float(value) for value in np.percentile(resampled, [2.5, 97.5])]


def replies(model, tokenizer, examples: list[dict], profile: dict, rows: list[int], max_tokens: int = 48) -> list[dict]:
    """Greedy replies, batched: {"text", "stopped"}; `stopped` is false at the token limit."""
    prompts = [
        chat_format.prompt_ids(example, tokenizer, profile, ("test", row)) for example, row in zip(examples, rows)
    ]
    response = batch_generate(model, tokenizer, prompts, max_tokens=max_tokens, return_token_ids=True)
    return [
        {"text": text.strip(), "stopped": len(ids) < max_tokens}
        for text, ids in zip(response.texts, response.token_ids)
    ]


def samples(examples: list[dict], generated: dict) -> list[dict]:
    """Side by side: the context, the true reply, and each arm's."""
    return [
        {
            "context": chat_format.plain_context(example["messages"][-2]["content"]),
            "true": example["messages"][-1]["content"],
            "replies": [
                {"model": model, "format": prompt_format, **texts[index]}
                for (model, prompt_format), texts in generated.items()
            ],
        }
        for index, example in enumerate(examples)
    ]
