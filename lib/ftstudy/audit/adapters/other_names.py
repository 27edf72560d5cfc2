"""Tensors in mlx-lm's file that another library named or shaped: mlx-lm refuses them, and its older versions ignored
them without a word."""

from pathlib import Path

from ...models import peft
from ...paths import shown
from ..evidence import listed
from ..findings import Finding
from .files import CONFIG, FORMAT


def check(shapes: dict[str, tuple], expected: dict[str, tuple], file: Path) -> Finding | None:
    """A finding if the tensors of `file` are those that training would save, under other names or transposed."""
    if file.name == peft.WEIGHTS or not shapes:
        return None
    if any(peft.NAME.fullmatch(name) for name in shapes):
        return _found(
            f"{shown(file)} has tensors of PEFT under mlx-lm's name",
            [f"{name}: {shape}" for name, shape in shapes.items()],
            file,
            "PEFT uses other names, and stores A and B transposed. mlx-lm finds no layer for them and refuses to load them; its "
            "older versions ignored them without a word, which left the base model.",
            f"Give this study PEFT's own folder, which it reads: rename the file to {peft.WEIGHTS}, next to the {CONFIG} "
            "that PEFT saved. For mlx-lm rename lora_A.weight to lora_a and lora_B.weight to lora_b, take "
            "`base_model.model.` off the names, and transpose both.",
        )
    turned = [f"{name}: {shape} instead of {expected.get(name)}" for name, shape in shapes.items()
              if shape != shape[::-1] == expected.get(name)]  # fmt: skip
    if (
        shapes.keys() == expected.keys()
        and turned
        and all(shapes[name] in (shape, shape[::-1]) for name, shape in expected.items())
    ):
        return _found(
            f"{len(turned)} tensors in {shown(file)} are transposed",
            turned,
            file,
            "The names were converted from PEFT's, but not the shapes: PEFT stores A as (rank, inputs) and B as (outputs, "
            "rank).",
            "Transpose every lora_a and lora_b.",
        )
    return _prefixed(shapes, expected, file)


def _prefixed(shapes: dict[str, tuple], expected: dict[str, tuple], file: Path) -> Finding | None:
    """Names that are right but for what comes before the layers."""
    if shapes.keys() & expected.keys():
        return None
    ours, theirs = (
        {name.partition("layers.")[0] for name in names if "layers." in name} for names in (expected, shapes)
    )
    if len(ours) != 1 or len(theirs) != 1:
        return None
    right, wrong = ours.pop(), theirs.pop()
    if {right + name.removeprefix(wrong) for name in shapes} != expected.keys():
        return None
    return _found(
        f"The names of the tensors in {shown(file)} begin with “{wrong}” instead of “{right}”",
        [*shapes],
        file,
        "They come from another program, or from a model that was wrapped. mlx-lm finds no layer for them and refuses to load "
        "them; its older versions ignored them without a word, which left the base model.",
        f"Rename them: “{wrong}layers…” to “{right}layers…”.",
    )


def _found(title: str, lines: list[str], file: Path, cause: str, fix: str) -> Finding:
    return FORMAT.found("error", title, evidence=listed(lines), where=shown(file), cause=cause, fix=fix)
