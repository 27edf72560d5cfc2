"""Spans of a text, and what is seen of the text once some of its spans are masked."""

from bisect import bisect_right
from typing import NamedTuple

WALL = "\ue000"  # stands for what is masked already, so that no pattern reaches across it


class Span(NamedTuple):
    """What is in text[start:end]. Without a kind it stays as it is."""

    start: int
    end: int
    kind: str = ""
    replacement: str = ""


class Walled:
    """A text with one wall for each of its spans, however long: what is near stays near once they are masked."""

    def __init__(self, text: str, spans: list[Span]):
        pieces, last, length = [], 0, 0
        self._behind, self._leads_to = [0], [0]  # a place behind each wall, and which place in the text it is
        for start, end, *_ in spans:
            pieces += [text[last:start], WALL]
            length += start - last + len(WALL)
            self._behind.append(length)
            self._leads_to.append(end)
            last = end
        self.text = "".join([*pieces, text[last:]])

    def back(self, span: Span) -> Span:
        """A span of the walled text as one of the text. No wall may be its first or last character."""
        return span._replace(start=self._back(span.start), end=self._back(span.end - 1) + 1)

    def _back(self, place: int) -> int:
        wall = bisect_right(self._behind, place) - 1
        return self._leads_to[wall] + place - self._behind[wall]
