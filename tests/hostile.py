"""Inputs that nobody means well with: for any of them a reader gives a proper result, or a StudyError."""

import json
import struct
from datetime import timedelta

from ftstudy.errors import StudyError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# A minute says that a reader hangs, also on a busy machine.
RUNS = settings(
    max_examples=60,
    deadline=timedelta(seconds=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
TIMES = [
    "0000-00-00T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "-0001-01-01", "2024-02-30", "inf",
    "1e400", "nan", "12345678901234567890", "-1", "2024-13-01T00:00:00",
]  # fmt: skip
TEXTS = [
    "", " ", "\0", "\ud800", "\udfff\ud800", "a" * 3000, "\u202e\u2066", "{{", "{% for x in y %}", "../../etc/passwd",
    "=1+1", '"""', "\r", "\u2028", "[" * 3000, "é" * 300, "<|im_end|>", "me", *TIMES,
]  # fmt: skip
NUMBERS = [0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**300, 10**400, 1e308, -1e308, float("inf"), float("nan"), 0.5]


LEAVES = st.sampled_from([None, True, False, *NUMBERS, *TEXTS]) | st.text(max_size=12) | st.integers()
VALUES = LEAVES | st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(TEXTS) | st.text(max_size=6), inner),
    max_leaves=8,
)
DEEP = st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900])
BYTES = st.binary(max_size=300) | DEEP | VALUES.map(lambda value: json.dumps(value).encode())


def bytes_like(whole: bytes):
    """A file as it is, but for a few places; or any bytes."""
    piece = st.sampled_from(
        [b"", b"\0", b"\xff", b"\xff" * 8, b"\0" * 8, b"{", b'"', b"\n", b"PK\3\4", b"-1", b"1e999"]
    )
    edit = st.tuples(st.integers(0, len(whole)), st.integers(0, 40), piece | st.binary(max_size=12))

    def edited(edits):
        data = whole
        for at, length, new in edits:
            data = data[:at] + new + data[at + length :]
        return data

    return st.lists(edit, min_size=1, max_size=4).map(edited) | BYTES


def json_like(value):
    """A JSON value as it is, but with other values in a few places or without them."""
    places = list(_places(value))

    def changed(changes):
        copy = json.loads(json.dumps(value))
        for place, new, is_removed in changes:
            copy = _replaced(copy, place, new, is_removed)
        return copy

    change = st.tuples(st.sampled_from(places), VALUES, st.booleans().filter(bool) | st.just(False))
    return st.lists(change, min_size=1, max_size=3).map(changed)


def _places(value, so_far=()):
    yield so_far
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*so_far, key))


def _replaced(value, place, new, is_removed):
    if not place:
        return new
    key, *rest = place
    try:
        if not rest and is_removed:
            del value[key]
        else:
            value[key] = _replaced(value[key], rest, new, is_removed)
    except (KeyError, IndexError, TypeError):
        pass  # an earlier change took it away
    return value


def dumped(value) -> bytes:
    return json.dumps(value).encode()


def lines_like(rows: list):
    """A file of JSON lines, some of them with other values, or other bytes."""
    line = st.one_of(
        [st.just(dumped(row)) for row in rows[:2]] + [json_like(row).map(dumped) for row in rows] + [BYTES]
    )
    return st.lists(line, max_size=5).map(b"\n".join)


def tensors_like(header: dict, data: bytes):
    """A .safetensors file, its header with other values, or other bytes."""
    lengths = st.none() | st.sampled_from([0, 1, 1 << 20, 1 << 40, (1 << 64) - 1])

    def written(parts):
        said, length = parts
        said = said if isinstance(said, bytes) else dumped(said)
        return struct.pack("<Q", len(said) if length is None else length) + said + data

    return st.tuples(json_like(header) | BYTES, lengths).map(written) | st.binary(max_size=100)


def answered(use, *allowed):
    """What `use` returns; None if it raised a StudyError of one paragraph, or one of `allowed`."""
    try:
        return use()
    except StudyError as error:
        assert str(error) and "\n" not in str(error), str(error)
        str(error).encode()
    except allowed:
        pass
    return None
