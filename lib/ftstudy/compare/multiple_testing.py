"""Corrects the verdicts on one question for multiple testing.

Of twenty true-zero differences, one interval of 95% excludes zero by chance. Holm's step-down method (1979,
Scandinavian Journal of Statistics 6) keeps the chance of any such error in a family of verdicts at 5%, however the
differences depend on each other. Intervals stay those of each difference alone.
"""

from . import intervals

TOGETHER = 0.05


def holm(values: list[float], level: float = TOGETHER) -> list[bool]:
    """For each p-value, whether its hypothesis is rejected. The smallest of n is compared with level / n, the next
    with level / (n − 1), and so on to the first that is larger: that one and all after it stand."""
    rejected = [False] * len(values)
    for step, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[at] > level / (len(values) - step):
            break
        rejected[at] = True
    return rejected


def correct(rows: list[dict], name: str) -> None:
    """Sets `family` and the corrected `verdict` of each row, and drops what is `needed` where that is distinguishable.

    Rows without a p-value were too few conversations to compare, and don't count.
    """
    tested = [row for row in rows if row["p"] is not None]
    for row in rows:
        row["family"] = {"name": name, "size": len(tested)}
    for row, rejected in zip(tested, holm([row["p"] for row in tested])):
        if not rejected:
            row["verdict"] = intervals.EQUAL
        if row["verdict"] != intervals.EQUAL and "needed" in row:
            row["needed"] = None


def correct_differences(rows: list[dict], name: str) -> None:
    """`correct` for what `intervals.difference` returns: replies, ends of turn, and replies that training does not
    give away are three families."""
    correct(rows, name)
    correct([row["end_of_turn"] for row in rows if row["end_of_turn"]], f"{name}: ends of turn")
    if clean := [row["without_leaked"] for row in rows if row.get("without_leaked")]:
        correct_differences(clean, f"{name}, without replies that training gives away")
