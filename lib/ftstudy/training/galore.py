"""GaLore: full fine-tuning with an optimizer that keeps its state in a few directions of the gradient.

J. Zhao, Z. Zhang, B. Chen, Z. Wang, A. Anandkumar, Y. Tian: GaLore: Memory-Efficient LLM
Training by Gradient Low-Rank Projection, 2024, arXiv 2403.03507, algorithm 2. For a weight W
(m, n) with m <= n, gradient G, rank r, scale α and learning rate η:

    every T steps   P = U[:, :r]  of  G = U S Vᵀ           (m, r)
    every step      R = Pᵀ G                               (r, n), and so are M and V
                    N = Adam's direction for R             M / (√V + ε), with bias correction
                    W ← W - η α P N

With m > n, Q = V[:, :r] projects from the other side: R = G Q (m, r) and W ← W - η α N Qᵀ.

A compiled step cannot ask which step it is, and `mx.where` would compute both new and old directions at every
step. But mx.compile traces again when an input's shape changes. So the state has an array `refresh` whose shape
says whether the next step takes new directions, and `GaLore.prepare` sets it before each step. That makes two
graphs per batch shape, one of them without a decomposition.
"""

from collections.abc import Callable

import mlx.core as mx
from mlx.optimizers import AdamW

from ..errors import StudyError
from .pissa import truncated_svd


class GaLore(AdamW):
    """AdamW (MLX's own) in the gradient's top `rank` directions.

    A parameter is projected if it is a matrix with both sides longer than `rank`. All others get plain AdamW
    without `scale`: there the projector would be the identity, since Adam depends on the choice of directions.
    So with a rank as large as the shorter side, a step is AdamW's.

    `update_every` is T, counted in optimizer updates; `scale` is α; `learning_rate` is a number or one of MLX's
    schedules. State of a projected (m, n) parameter: `projector` (min(m, n), rank), `m` and `v` (rank, n) or,
    if m > n, (m, rank). `weight_decay` acts on the whole weight, as in AdamW. New directions keep `m` and `v`,
    as in the paper.

    Raises StudyError for a rank or an `update_every` below 1, ValueError as MLX's Adam does.
    """

    def __init__(
        self,
        learning_rate: float | Callable[[mx.array], mx.array],
        rank: int = 128,
        update_every: int = 200,
        scale: float = 0.25,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        bias_correction: bool = True,
    ):
        if rank < 1 or update_every < 1:
            raise StudyError(f"GaLore needs a rank and an update_every of 1 or more, not {rank} and {update_every}.")
        super().__init__(learning_rate, betas, eps, weight_decay, bias_correction)
        self.rank, self.update_every, self.scale = rank, update_every, scale
        self._prepared = False
        self.state["refresh"] = mx.zeros(1)

    def prepare(self) -> None:
        """Decide, before a compiled step, whether it takes new directions.

        It does if the number of updates so far, which is in the state, is a multiple of `update_every`. May be
        called more than once. A step that is not compiled does this by itself.
        """
        self._decide()
        self._prepared = True

    def apply_gradients(self, gradients: dict, parameters: dict) -> dict:
        """As MLX's. Raises StudyError inside mx.compile if `prepare` was never called."""
        try:
            self._decide()
        except ValueError as error:  # inside mx.compile no array has a value
            if not self._prepared:
                raise StudyError(
                    "GaLore would never take new directions in this compiled step. Call prepare() before each step."
                ) from error
        return super().apply_gradients(gradients, parameters)

    def init_single(self, parameter: mx.array, state: dict) -> None:
        if not self._projects(parameter):
            return super().init_single(parameter, state)
        rows, columns = parameter.shape
        low = (self.rank, columns) if rows <= columns else (rows, self.rank)
        state["projector"] = mx.zeros((min(rows, columns), self.rank), parameter.dtype)
        super().init_single(mx.zeros(low, parameter.dtype), state)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        if not self._projects(parameter):
            return super().apply_single(gradient, parameter, state)
        if self.state["refresh"].ndim:
            state["projector"] = _directions(gradient, self.rank).astype(gradient.dtype)
        projector = state["projector"]
        wide = gradient.shape[0] <= gradient.shape[1]
        low = projector.T @ gradient if wide else gradient @ projector
        step = super().apply_single(low, mx.zeros_like(low), state)  # from zero: the step alone
        step = projector @ step if wide else step @ projector.T
        decay = self.learning_rate.astype(gradient.dtype) * self.weight_decay
        return parameter * (1 - decay) + self.scale * step

    def _decide(self) -> None:
        due = self.step.item() % self.update_every == 0
        self.state["refresh"] = mx.zeros(1 if due else ())

    def _projects(self, parameter: mx.array) -> bool:
        return parameter.ndim == 2 and min(parameter.shape) > self.rank


def _directions(gradient: mx.array, rank: int) -> mx.array:
    """The gradient's top singular vectors of its shorter side, (shorter side, rank), float32.

    Not the eigenvectors of G Gᵀ, which are three times as fast: within the rank, a real gradient's singular
    values fall below 3e-4 of the first. Their squares are lost in float32, and Adam makes steps in these
    directions as large as in the first.
    """
    # LAPACK raises for a NaN; the loss is NaN too then, and stops the run properly.
    finite = mx.nan_to_num(gradient.astype(mx.float32), 0, 0, 0)
    u, _, v = truncated_svd(finite, rank)
    return u if gradient.shape[0] <= gradient.shape[1] else v
