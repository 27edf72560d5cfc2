"""What identifies a tokenizer, a chat template and a base model, to notice when one has changed."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from ..files.reading import opened, read_bytes
from .tokens import unwrapped

PIECES, PIECE = 16, 4096  # of a weights file


def tokenizer_identity(tokenizer) -> dict:
    """Its class, number of tokens, and the sha256 of its definition."""
    own = unwrapped(tokenizer)
    return {"class": type(own).__name__, "tokens": len(own), "sha256": _definition(own, len(own))}


@lru_cache(maxsize=4)  # a large vocabulary takes half a second; an app asks for every prompt
def _definition(tokenizer, size: int) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    definition = json.loads(backend.to_str())
    for state in ("truncation", "padding"):  # left over from its last call
        definition.pop(state, None)
    return _sha256(json.dumps(definition, sort_keys=True).encode())


def template_identity(tokenizer) -> str:
    """The sha256 of the chat template's text."""
    template = tokenizer.chat_template
    return _sha256((template if isinstance(template, str) else json.dumps(template, sort_keys=True)).encode())


def model_identity(folder: Path | None) -> dict | None:
    """The sha256 of config.json, and each weights file by its bytes, header and 16 pieces of 4 KB."""
    if folder is None:
        return None
    config = folder / "config.json"
    return {
        "config_sha256": _sha256(read_bytes(config)) if config.is_file() else None,
        "weights": [_weights(path) for path in sorted(folder.glob("*.safetensors")) if path.is_file()],
    }


def _weights(path: Path) -> dict:
    size, digest = path.stat().st_size, hashlib.sha256()
    with opened(path) as file:
        length = file.read(8)
        digest.update(length + file.read(min(int.from_bytes(length, "little"), size)))
        for number in range(PIECES):
            file.seek(size * number // PIECES)
            digest.update(file.read(PIECE))
    return {"file": path.name, "bytes": size, "sha256": digest.hexdigest()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
