"""How much do two rows have in common beyond chance? In bits, for a whole data set at once.

Texts are sequences of words, taken three at a time. Three words that occur in a share p of all places carry
-log2(p) bits, a third for each word: "on my way" carries little if it is written daily, a unique remark carries a
lot. Two rows of different splits are *alike* if they share so many bits that chance would produce no such pair.
"""

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy

from ..content.speakers import TAG

# In Chinese and Japanese each character is a word; Python doesn't count the vowel signs of Indic scripts as letters.
WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|(?:[^\W\u3040-\u30ff\u3400-\u9fff]|[\u0300-\u036f\u0900-\u0963\u0970-\u0e7f\u1000-\u109f\u200c\u200d])+"
)
MARGIN = 12  # bits beyond chance, for what the estimate neglects and for the number of pairs
SURE = 30  # bits beyond that: one such pair is enough; weaker ones need company
RUN = 5  # rows are looked up by this many words in the same order
COMMON = 32  # a run in more places than this is too common to look for pairs by
MOST = 0.6  # rows that are alike share this much of the smaller row's bits
MIXER = numpy.uint64(0x9E3779B97F4A7C15)  # an odd number without a pattern, for hashing


def line_reader() -> Callable[[str], tuple[int, ...]]:
    """A function from a line to its words, as numbers from 1; without case, punctuation and tags.

    It remembers lines, as the rows of a session repeat them.
    """
    known = defaultdict(count(1).__next__)

    @cache
    def read_line(line: str) -> tuple[int, ...]:
        return tuple(map(known.__getitem__, WORD.findall(TAG.sub(" ", line).casefold())))

    return read_line


@dataclass
class Words:
    """The bits of all words, and the runs of words that several splits share."""

    start: numpy.ndarray  # of each row's words among all words, and the end
    bits: numpy.ndarray  # one entry a word
    shared: numpy.ndarray  # the last words of runs that several splits share, run by run, in the rows' order
    run: numpy.ndarray  # those runs' numbers

    def bits_of(self, row: int, first: int = 0, last: int | None = None) -> float:
        """The bits of a row, or of its words from `first` to before `last`."""
        begin, end = self.start[row], self.start[row + 1]
        return float(self.bits[begin + first : end if last is None else begin + last].sum())


def read(rows: Iterable[array], part: numpy.ndarray) -> Words:
    """Count the words of all rows, each an array of type "i"; `part` is each row's split, as a number."""
    numbers, start = array("i", [0] * RUN), [0]
    for row in rows:
        # Empty words between the rows: a run that begins before a row is its own.
        before = len(numbers)
        numbers.extend(row)
        start.append(start[-1] + len(numbers) - before)
        numbers.extend([0] * (RUN - 1))
    words, start = numpy.frombuffer(numbers, dtype=numpy.int32), numpy.array(start)
    order, times = _runs(words, 3)
    bits = numpy.empty(len(order), numpy.float32)
    bits[order] = numpy.repeat((math.log2(max(1, len(order))) - numpy.log2(times)) / 3, times)
    order, times = _runs(words, RUN)
    split, first = numpy.repeat(part.astype(numpy.int32), numpy.diff(start))[order], numpy.cumsum(times) - times
    across = numpy.minimum.reduceat(split, first) != numpy.maximum.reduceat(split, first)
    chosen = across & (times <= COMMON)
    shared = order[numpy.repeat(chosen, times)]
    return Words(start, bits, shared, numpy.repeat(numpy.flatnonzero(chosen), times[chosen]))


def _runs(words: numpy.ndarray, length: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Sort all words but the empty ones by the run of words that each one ends; equal runs keep their order.

    Returns the sorted positions and how often each run occurs.
    """
    packed = numpy.zeros(len(words) - length + 1, numpy.uint64)
    for first in range(length):
        packed *= MIXER  # modulo 2**64
        packed += words[first : len(words) - length + 1 + first].astype(numpy.uint32)
    packed *= MIXER  # the upper bits are the mixed ones
    # One sort of numbers that end in their place, in half the time and memory of an argsort. Two runs whose
    # upper bits agree count as one: a few in millions.
    keys = packed[words[length - 1 :] != 0]
    del packed
    lower = numpy.uint64(len(keys).bit_length())
    keys = keys >> lower << lower
    keys += numpy.arange(len(keys), dtype=numpy.uint32)
    keys.sort()
    order = (keys & ((numpy.uint64(1) << lower) - numpy.uint64(1))).astype(numpy.int32)
    keys >>= lower
    new = numpy.ones(len(keys), bool)
    numpy.not_equal(keys[1:], keys[:-1], out=new[1:])
    return order, numpy.diff(numpy.flatnonzero(new), append=len(keys))


def chance(rows: int, others: int) -> float:
    """The bits above which two of these rows aren't alike by chance."""
    return float(numpy.log2(max(1, rows) * max(1, others))) + MARGIN


def alike(found: Words, part: numpy.ndarray) -> dict[int, tuple[int, float]]:
    """Row -> the row of an earlier split that it shares most with, and the bits beyond chance.

    `part`: each row's split, as a number; earlier splits have smaller ones.
    """
    run, bits = found.run, found.bits[found.shared]
    row = numpy.searchsorted(found.start, found.shared, side="right") - 1
    first = numpy.ones(len(run), bool)  # the same run twice in a row counts once
    first[1:] = (run[1:] != run[:-1]) | (row[1:] != row[:-1])
    run, row, bits = run[first], row[first], bits[first]
    pairs, shared = [], []
    for apart in range(1, COMMON):
        same = numpy.flatnonzero(run[apart:] == run[:-apart])
        across = same[part[row[same]] != part[row[same + apart]]]
        pairs.append(row[across] * len(part) + row[across + apart])
        shared.append(bits[across])
    keys, which = numpy.unique(numpy.concatenate(pairs), return_inverse=True)
    together = numpy.bincount(which, weights=numpy.concatenate(shared), minlength=len(keys))
    one, other = keys // len(part), keys % len(part)
    said = numpy.concatenate([[0.0], numpy.cumsum(found.bits, dtype=float)])
    whole = said[found.start[1:]] - said[found.start[:-1]]
    sizes = numpy.bincount(part)
    beyond = together - numpy.log2(sizes[part[one]] * sizes[part[other]]) - MARGIN
    chosen = (beyond >= 0) & (together >= MOST * numpy.minimum(whole[one], whole[other]))
    best = {}
    for at in numpy.flatnonzero(chosen)[numpy.argsort(together[chosen], kind="stable")]:
        a, b = int(one[at]), int(other[at])
        later, earlier = (a, b) if part[a] > part[b] else (b, a)
        best[later] = earlier, float(beyond[at])
    return best
