"""Text as a terminal shows it: wrapped to its width. In a pipe or a file it stays as it is."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable

from ..printable import one_line, say

NARROWEST, WIDEST = 40, 110  # columns
_KEPT = "\0"  # for a space at which no line is broken; text that is printed has none


def wrapped(text: str, indent: str = "", later: str = "    ") -> list[str]:
    """The text in lines, the first after `indent`, the others after `indent` and `later`. What is in backticks, such as
    a command, stays on one line, so that it can be copied."""
    text = one_line(text)
    if not sys.stdout.isatty():
        return [indent + text]
    text = re.sub("`[^`]+`", lambda found: found[0].replace(" ", _KEPT), text)
    lines = textwrap.wrap(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent + later,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace(_KEPT, " ") for line in lines] or [indent.rstrip()]


def coloured(text: str, indent: str = "", later: str = "    ", colour: str = "") -> list[tuple[str, str]]:
    """The text `wrapped`, as (line, colour) pairs."""
    return [(line, colour) for line in wrapped(text, indent, later)]


def say_wrapped(texts: Iterable[str], indent: str = "") -> None:
    for text in texts:
        for line in wrapped(text, indent):
            say(line)


def width() -> int:
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
