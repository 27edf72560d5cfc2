"""The loss of a batch in nats per trained token, with logits computed only where a token is trained."""

from collections.abc import Callable

import mlx.core as mx

from ..engine import reply_logits


def arrange(rows: list[reply_logits.Row], start: int, frozen=None) -> tuple[tuple, int]:
    """A batch's rows as `loss_function` takes them, without their first `start` tokens, which all share.

    `frozen`: as for `reply_logits.grouped`.

    Returns ((trained tokens of the whole batch divided by the number of machines, *groups of this machine's
    rows), number of tokens in all rows).
    """
    world = mx.distributed.init()
    total = sum(len(steps) for _, steps in rows)
    own = rows[world.rank() :: world.size()] or [(rows[0][0], rows[0][1][:0])]
    return (mx.array(total / world.size()), *reply_logits.grouped(own, start, frozen)), sum(len(ids) for ids, _ in rows)


def loss_function(nats: Callable) -> Callable:
    """`(model, total, *groups) -> (nats per trained token, trained tokens)`, mlx-lm's loss of a batch.

    Each machine divides by its share of the whole batch's tokens. So the mean over machines is the batch's
    loss, however the tokens are spread.
    """

    def loss(model, total, *groups):
        losses, tokens = _sums(nats, model, groups)
        return losses / total, tokens

    return loss


def evaluate(model, nats: Callable, validation: list[list[reply_logits.Row]], start: int, frozen=None) -> float:
    """The loss of the validation batches, nats per trained token. `start`, `frozen`: as for `arrange`."""
    model.eval()
    losses, tokens = mx.array(0.0), mx.array(0.0)
    for rows in validation:
        (_, *groups), _ = arrange(rows, start, frozen)
        more = _sums(nats, model, groups)
        losses, tokens = losses + more[0], tokens + more[1]
        mx.eval(losses, tokens)
    model.train()
    return (mx.distributed.all_sum(losses, stream=mx.cpu) / mx.distributed.all_sum(tokens, stream=mx.cpu)).item()


def _sums(nats: Callable, model, groups) -> tuple[mx.array, mx.array]:
    """Summed nats of the trained tokens, and their number."""
    losses = sum((found * group[3]).sum() for found, group in zip(nats(model, groups), groups))
    return losses, sum(group[3].sum() for group in groups)
