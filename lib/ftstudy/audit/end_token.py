"""Can the run teach the model to end a reply? Not if the end token's row of the output matrix was never trained, and
stays as it is."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import mlx.core as mx
import numpy

from ..chat_format.replies import last_replies
from ..machine_failures import pass_on
from ..models import base_models
from ..paths import shown
from . import architecture
from .config.values import sound
from .evidence import counted, quoted
from .findings import Check, Finding

UNTRAINED_END = Check(
    "model.untrained_end",
    ("warning",),
    meaning="The end token's row of the output matrix was never trained, as in many base models, and the run doesn't train "
    "it either.",
    cause="The base model never wrote {token}: its row of {matrix} is {like}. {kind} changes the layers before this matrix, "
    "so the model hardly learns to end a reply, and writes the next turns too.",
    fix="Start from the model's -Instruct (or -it) variant, which ends replies with its own token. To keep this one, train "
    "the matrix too: `fine_tune_type: lora` with `keys: {keys}` below lora_parameters.",
    bad="model: meta-llama/Llama-3.1-8B, which never saw <|eot_id|>, with LoRA in the layers only",
    good="model: meta-llama/Llama-3.1-8B-Instruct",
)
CHECKS = (UNTRAINED_END,)
SMALL = 0.25  # of the usual length: a row that training has not moved from its start
ALIKE = 0.02  # of a row's length: SmolLM2's unused tokens differ by 0.0001, its end token by 0.14, ordinary ones by 0.4
SAMPLE = 2000  # ordinary tokens, for what is usual


class Matrix(NamedTuple):
    """The matrix that turns the last layer's output into a number for each token, and its name in the model."""

    name: str
    module: object

    @property
    def size(self) -> int:
        return self.module.weight.shape[0]

    def rows(self, at: list[int]) -> numpy.ndarray:
        """These rows in full precision."""
        module, at = self.module, mx.array(at)
        rows = module.weight[at]
        if (scales := getattr(module, "scales", None)) is not None:
            biases = getattr(module, "biases", None)
            packing = {"group_size": module.group_size, "bits": module.bits, "mode": getattr(module, "mode", "affine")}
            rows = mx.dequantize(rows, scales[at], None if biases is None else biases[at], **packing)
        return numpy.array(rows.astype(mx.float32))


def check(inputs) -> Iterator[Finding]:
    """A finding on the token that ends the replies of the training data; none if the model or its rows can't be read."""
    token = _taught(inputs)
    if token is None:
        return
    try:
        matrix = _output(base_models.load_lazily(inputs.model), token)
        if matrix is None or _is_trained(inputs, matrix.name):
            return
        like = _untrained(matrix, token, inputs.tokenizer)
    except (
        Exception
    ) as error:  # whatever a model's own code raises; the model family reports a model that can't be loaded
        pass_on(error)
        return
    if like:
        text, name = inputs.tokenizer.decode([token]), f"{matrix.name}.weight"
        kind = {"full": "`fine_tune_type: full`", "dora": "DoRA"}.get(inputs.config.get("fine_tune_type"), "LoRA")
        yield UNTRAINED_END.found(
            "warning",
            f"Replies may not end: the base model's row for {text} was never trained, and this run doesn't train it",
            evidence=[f"{name}: row {token}, {quoted(text, 40)}, is {like}", f"training ends replies with {text}"],
            where=shown(inputs.model),
            token=text,
            matrix=name,
            like=like,
            kind=kind,
            keys=f"[{', '.join([*_keys(inputs), matrix.name])}]",
        )


def _taught(inputs) -> int | None:
    """The token that ends most replies, or texts, of the training data."""
    if inputs.model is None or inputs.problem or "train" not in inputs.splits:
        return None
    if ids := inputs.text_ids("train"):
        ends = Counter(int(row[-1]) for row in ids if len(row))
        return (
            inputs.tokenizer.eos_token_id
            if ends and ends.most_common(1)[0][0] == inputs.tokenizer.eos_token_id
            else None
        )
    rendering = inputs.rendering("train")
    _, ends, _ = last_replies(rendering, inputs.tokenizer)
    taught = Counter(int(ids[end]) for ids, end in zip(rendering.ids, ends) if end < len(ids))
    return taught.most_common(1)[0][0] if taught else None


def _output(model, token: int) -> Matrix | None:
    """The output matrix; where a model has none of its own, the embedding that it shares."""
    large = [
        Matrix(name, module)
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is not None and module.weight.ndim == 2 and module.weight.shape[0] > token
    ]
    heads = [one for one in large if one.name.rpartition(".")[2] in ("lm_head", "output", "embed_out", "head")]
    shared = [one for one in large if hasattr(one.module, "as_linear")]
    return next(iter([*heads, *shared]), None)


def _is_trained(inputs, name: str) -> bool:
    """Whether the run changes this matrix."""
    model, values = architecture.skeleton(inputs.model), sound(inputs.config)
    settings = values["fine_tune_type"], values["num_layers"], values["lora_parameters"]
    return model is None or any(tensor.startswith(f"{name}.") for tensor in architecture.trained(model, *settings))


def _keys(inputs) -> list[str]:
    given = (inputs.config.get("lora_parameters") or {}).get("keys")
    if isinstance(given, list) and given:
        return [str(key) for key in given]
    return sorted(architecture.layers_of_modules(architecture.skeleton(inputs.model)))


def _untrained(matrix: Matrix, token: int, tokenizer) -> str | None:
    """What says that a token's row was never trained; None if nothing does."""
    words = min(len(tokenizer), matrix.size)
    added = [at for at in getattr(tokenizer, "added_tokens_decoder", {}) if at < matrix.size]
    unused = [*range(words, matrix.size)][:SAMPLE]  # rows that fill the matrix up have no token at all
    special = sorted({*added, *unused} - {token})
    ordinary = [at for at in range(0, words, max(1, words // SAMPLE)) if at not in special and at != token]
    rows = matrix.rows([token, *special, *ordinary])
    sizes = numpy.linalg.norm(rows, axis=1)
    usual = float(numpy.median(sizes[1 + len(special) :]))
    if sizes[0] < SMALL * usual:
        return f"almost zero: its length is {sizes[0]:.2g}, that of ordinary tokens {usual:.2g}"
    apart = numpy.linalg.norm(rows[1:] - rows[0], axis=1)
    same = [at for at, distance in zip([*special, *ordinary], apart) if distance < ALIKE * sizes[0]]
    if same:
        first = quoted(tokenizer.decode([same[0]]), 40) if same[0] < words else "one that fills the matrix up"
        return f"the same as that of {counted(len(same), 'other token')}, for example {first}"
    usual_row = rows[1 + len(special) :].mean(axis=0)
    if numpy.linalg.norm(rows[0] - usual_row) < ALIKE * sizes[0]:
        return "the mean of all rows, as a token gets that was added to a finished model"
    return None
