"""What several conclusions need."""

from ...wording import corrected, effect


def in_words(row: dict, better: str, worse: str, neither: str = "not distinguishable") -> str:
    """A difference in words, and what its verdict means."""
    meaning = {"better": better, "worse": worse, "not distinguishable": neither + corrected(row)}[row["verdict"]]
    if row["interval"] is None:
        meaning = "too few conversations for a verdict"
    return f"{effect(row['nats_per_reply_token'], row['interval'])}: {meaning}"
