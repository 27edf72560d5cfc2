"""The metadata of a GGUF file: its chat template, its special tokens, its names. The weights are not read."""

import mmap
import os
import struct
from pathlib import Path

from ..errors import StudyError
from ..files.reading import opened
from ..machine_failures import pass_on
from ..paths import shown

MAGIC = b"GGUF"
NUMBERS = dict(enumerate("BbHhIif", 0)) | {7: "?", 10: "Q", 11: "q", 12: "d"}  # value type -> struct's letter
TEXT, LIST = 8, 9
MOST = 256 << 20  # bytes that the metadata can have; a large vocabulary takes 10 MB
# By name, llama.cpp also ends a reply at these, whatever the file says.
ALWAYS_END = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
    "<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>",
}  # fmt: skip
ENDS = ("eos", "eot", "eom")


def is_gguf(path: Path) -> bool:
    try:
        with opened(path) as file:
            return file.read(4) == MAGIC
    except (OSError, ValueError):
        return False


def read(path: Path) -> dict:
    """Metadata key -> value: numbers, texts and lists of them. StudyError: not a whole GGUF of version 2 or 3."""
    try:
        with (
            opened(path) as file,
            mmap.mmap(file.fileno(), min(os.fstat(file.fileno()).st_size, MOST), access=mmap.ACCESS_READ) as content,
        ):
            magic, version, _, count = struct.unpack_from("<4sIQQ", content)
            if magic != MAGIC or version not in (2, 3):
                raise ValueError(f"it is of version {version}, and only 2 and 3 are read")
            found, at = {}, 24
            for _ in range(count):
                key, at = _value(content, at, TEXT)
                (kind,) = struct.unpack_from("<I", content, at)
                found[key], at = _value(content, at + 4, kind)
            return found
    except (OSError, ValueError, struct.error, MemoryError, RecursionError) as error:
        if isinstance(error, OSError):
            pass_on(error)
        raise StudyError(
            f"{shown(path)} is not a readable GGUF file ({getattr(error, 'strerror', None) or error}). Copy or convert it "
            "again."
        ) from error


def _value(content: mmap.mmap, at: int, kind: int):
    """A value and where the next one begins."""
    if kind in NUMBERS:
        form = "<" + NUMBERS[kind]
        return struct.unpack_from(form, content, at)[0], at + struct.calcsize(form)
    if kind == TEXT:
        (length,) = struct.unpack_from("<Q", content, at)
        end = at + 8 + length
        if end > len(content):
            raise ValueError("it ends in the middle of a text")
        return content[at + 8 : end].decode("utf-8", "replace"), end
    if kind != LIST:
        raise ValueError(f"it has a value of the unknown type {kind}")
    kind, length = struct.unpack_from("<IQ", content, at)
    at += 12
    if kind in NUMBERS:
        form = f"<{length}{NUMBERS[kind]}"
        if at + struct.calcsize(form) > len(content):
            raise ValueError("it ends in the middle of a list")
        return list(struct.unpack_from(form, content, at)), at + struct.calcsize(form)
    values = []
    for _ in range(length):
        value, at = _value(content, at, kind)
        values.append(value)
    return values, at


def served(path: Path) -> dict:
    """What llama.cpp makes of a GGUF: `name`, `architecture`, `context_length`, `tokens` (how many), `template` (None:
    the file has no chat template), `bos` (its text or None), `add_bos` (whether it is put in front of a prompt) and
    `ends`, the texts of the tokens that end a reply. Raises StudyError as `read` does."""
    return described(read(path))


def described(metadata: dict) -> dict:
    """The same from its metadata, which may lack any key."""
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    named = {_token(metadata, tokens, name) for name in ENDS} - {None}
    architecture = metadata.get("general.architecture") or ""
    return {
        "name": metadata.get("general.name") or "",
        "architecture": architecture,
        "context_length": metadata.get(f"{architecture}.context_length"),
        "tokens": len(tokens),
        "template": metadata.get("tokenizer.chat_template"),
        "bos": _token(metadata, tokens, "bos"),
        "eos": _token(metadata, tokens, "eos"),
        "add_bos": _adds_bos(metadata),
        "ends": sorted(named | (ALWAYS_END & set(tokens))),
    }


def _token(metadata: dict, tokens: list[str], name: str) -> str | None:
    number = metadata.get(f"tokenizer.ggml.{name}_token_id")
    return tokens[number] if isinstance(number, int) and 0 <= number < len(tokens) else None


def _adds_bos(metadata: dict) -> bool:
    """Without the key the kind of vocabulary decides."""
    flag = metadata.get("tokenizer.ggml.add_bos_token")
    if isinstance(flag, bool):
        return flag
    return (
        metadata.get("tokenizer.ggml.model") in ("llama", "bert") or metadata.get("tokenizer.ggml.pre") == "llama-bpe"
    )
