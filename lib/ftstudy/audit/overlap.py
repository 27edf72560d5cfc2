"""How much do two rows have in common that chance does not explain? In bits, for a whole data set at once.

Texts are sequences of words, taken three at a time. Three words that stand in a share p of all places
say -log2(p) bits, a third of it for each word: "on my way" says little where it is written daily, and a
remark made once says much. Two rows of two splits are *alike* if they share so many bits that
nowhere between the splits such a pair is expected by chance.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy

from .speakers import TAG

# Chinese and Japanese give a word a character; the vowel signs of Indic scripts are no letters to Python.
WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|(?:[^\W\u3040-\u30ff\u3400-\u9fff]|[\u0300-\u036f\u0900-\u0963\u0970-\u0e7f\u1000-\u109f\u200c\u200d])+"
)
MARGIN = 12  # bits beyond chance: for what the estimate neglects, and as there are many pairs
SURE = 30  # bits beyond that: one such pair is enough, where of others there must be several
RUN = 5  # words in the same order: what rows are looked up by
COMMON = 32  # places with the same run: what stands in more says too little to look for pairs by it
MOST = 0.6  # of the smaller row's bits are shared by rows that are alike
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
    """All words of all rows, in parallel arrays, and where each row begins in them."""

    row: numpy.ndarray
    run: numpy.ndarray  # the word and the four before it, as one number
    times: numpy.ndarray  # places with the same run
    bits: numpy.ndarray
    start: numpy.ndarray  # one entry a row, and the end

    def bits_of(self, row: int, first: int = 0, last: int | None = None) -> float:
        """The bits of a row, or of its words from `first` to before `last`."""
        begin, end = self.start[row], self.start[row + 1]
        return float(self.bits[begin + first : end if last is None else begin + last].sum())


def read(rows: Iterable[array]) -> Words:
    """Count the words of all rows, each an array of type "i"."""
    numbers, start = array("i", [0] * RUN), [0]
    for row in rows:
        # Empty words between the rows: a run that begins before a row is its own.
        before = len(numbers)
        numbers.extend(row)
        start.append(start[-1] + len(numbers) - before)
        numbers.extend([0] * (RUN - 1))
    ids = numpy.frombuffer(numbers, dtype=numpy.int32).astype(numpy.uint64)
    places = numpy.flatnonzero(ids)
    _, three = _counted(ids, places, 3)
    run, times = _counted(ids, places, RUN)
    bits = (numpy.log2(max(1, len(places)) / three) / 3).astype(numpy.float32)
    row = numpy.repeat(numpy.arange(len(start) - 1, dtype=numpy.int32), numpy.diff(start))
    return Words(row, run, times, bits, numpy.array(start))


def _counted(ids: numpy.ndarray, places: numpy.ndarray, length: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """For each place, the run of words that ends there as a number, and how often that run stands anywhere."""
    packed = numpy.zeros(len(places), numpy.uint64)
    for before in reversed(range(length)):
        packed = packed * MIXER + ids[places - before]  # modulo 2**64: two runs hardly ever agree
    _, run, counts = numpy.unique(packed, return_inverse=True, return_counts=True)
    return run.astype(numpy.int32), counts.astype(numpy.int32)[run]  # half the memory


def chance(rows: int, others: int) -> float:
    """From so many bits on, two of these rows do not share them by chance."""
    return float(numpy.log2(max(1, rows) * max(1, others))) + MARGIN


def alike(found: Words, part: numpy.ndarray) -> dict[int, tuple[int, float]]:
    """Row -> the row of an earlier split that it shares most with, and the bits beyond chance.

    `part`: each row's split, as a number; earlier splits have smaller ones.
    """
    places = part[found.row]
    summed, squares = numpy.bincount(found.run, places), numpy.bincount(found.run, places**2)
    several = summed**2 != squares * numpy.bincount(found.run)  # runs that stand in several splits
    rare = numpy.flatnonzero((found.times <= COMMON) & several[found.run])
    order = rare[numpy.argsort(found.run[rare], kind="stable")]  # rows stay in order
    run, row, bits = found.run[order], found.row[order].astype(numpy.int64), found.bits[order]
    first = numpy.ones(len(order), bool)  # the same run twice in a row counts once
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
    whole = numpy.bincount(found.row, weights=found.bits, minlength=len(part))
    sizes = numpy.bincount(part)
    beyond = together - numpy.log2(sizes[part[one]] * sizes[part[other]]) - MARGIN
    chosen = (beyond >= 0) & (together >= MOST * numpy.minimum(whole[one], whole[other]))
    best = {}
    for at in numpy.flatnonzero(chosen)[numpy.argsort(together[chosen], kind="stable")]:
        a, b = int(one[at]), int(other[at])
        later, earlier = (a, b) if part[a] > part[b] else (b, a)
        best[later] = earlier, float(beyond[at])
    return best
