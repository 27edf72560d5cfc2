"""Models quantized and adapters fused by mlx-lm's own commands, in this process."""

import io
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

from mlx_lm import fuse as mlx_fuse
from mlx_lm.convert import convert


def quantize(model: Path, bits: int) -> Path:
    """Replace a model's folder by what `mlx_lm.convert -q` makes of it."""
    new = model.with_name(f"{model.name}.new")
    with redirect_stdout(io.StringIO()):
        convert(str(model), str(new), quantize=True, q_bits=bits, q_group_size=32)
    shutil.rmtree(model)
    return new.rename(model)


def fuse(model: Path, adapter: Path, fused: Path, *options: str) -> Path:
    """Run `mlx_lm.fuse`, and return the folder of the fused model."""
    given = ["--model", str(model), "--adapter-path", str(adapter), "--save-path", str(fused), *options]
    with patch.object(sys, "argv", ["mlx_lm.fuse", *given]), redirect_stdout(io.StringIO()):
        mlx_fuse.main()
    return fused
