"""How a table is described."""

from collections.abc import Callable
from operator import itemgetter

from ...wording import format_name, interval, number, verdict

Table = tuple[list[dict], dict[str, str], str]
Column = str | tuple[str, Callable]


def table(caption: str, found: list[dict], **columns: Column) -> Table:
    """A column is its header, or the header and how to read a row's value, which is otherwise under the column's key."""
    headers = {key: column if isinstance(column, str) else column[0] for key, column in columns.items()}
    read = {key: itemgetter(key) if isinstance(column, str) else column[1] for key, column in columns.items()}
    return [{key: read[key](one) for key in read} for one in found], headers, caption


def difference(one: dict | None, measured: str) -> str:
    """A paired difference and its verdict, in one cell."""
    return f"{number(one[measured], signed=True)} {verdict(one)}" if one else "–"


def with_interval(value: float | None, bounds: list[float] | None) -> str:
    return f"{number(value)} ({interval(bounds)})" if bounds else number(value)


ARM = {"model": "Model", "format": ("Prompt", lambda one: format_name(one["format"]))}
RANGE = ("95% interval", lambda one: interval(one["interval"]))
