"""A text with its masked spans hidden, so that later patterns cannot match across them."""

from bisect import bisect_right
from typing import NamedTuple

WALL = "\ue000"  # replaces a masked span; no pattern but that of private keys matches it


class Span(NamedTuple):
    """What to do with text[start:end]. Without a kind it stays as it is."""

    start: int
    end: int
    kind: str = ""
    replacement: str = ""


class MaskedView:
    """`text` is the original with each span replaced by one WALL; `back` maps spans of it to the original."""

    def __init__(self, text: str, spans: list[Span]):
        pieces, last, length = [], 0, 0
        self._after_wall, self._in_original = [0], [0]  # the position after each wall, here and in the original
        for start, end, *_ in spans:
            pieces += [text[last:start], WALL]
            length += start - last + len(WALL)
            self._after_wall.append(length)
            self._in_original.append(end)
            last = end
        self.text = "".join([*pieces, text[last:]])

    def back(self, span: Span) -> Span:
        """A span of the view as a span of the original; of its walls, it has all that they hide."""
        return span._replace(start=self._back(span.start), end=self._back(span.end))

    def _back(self, place: int) -> int:
        wall = bisect_right(self._after_wall, place) - 1
        return self._in_original[wall] + place - self._after_wall[wall]
