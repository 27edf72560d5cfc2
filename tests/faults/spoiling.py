"""What the families of faults share: which rows are spoiled, and how a text is changed in all of them."""

from .studies import Study

PLAIN = "texter-chatml"
ALL = ("train", "valid", "test")
FEW, THIRD, EVERY = 3, 1 / 3, 1.0


def picked(rows: list, share: float | int) -> list[int]:
    """Positions spread over the rows: so many, or such a share of them."""
    number = share if isinstance(share, int) else max(1, round(share * len(rows)))
    return sorted({position * len(rows) // number for position in range(number)})


def in_rows(change, share=FEW, splits=("train",)):
    """A fault of single rows: `change(row)` alters one in place, or returns another in its place."""

    def spoil(study: Study) -> None:
        for split in splits:
            rows = study.rows(split)
            for position in picked(rows, share):
                other = change(rows[position])
                rows[position] = rows[position] if other is None else other
            study.write(split, rows)

    return spoil


def in_text(role: str, change, share=FEW, splits=("train",)):
    """A fault of the messages of one role (`reply` for the last one)."""

    def changed(row: dict) -> None:
        messages = row["messages"]
        for message in messages[-1:] if role == "reply" else [m for m in messages[:-1] if m["role"] == role]:
            message["content"] = change(message["content"])

    return in_rows(changed, share, splits)


def of_reply(change, share=FEW, splits=("train",)):
    return in_text("reply", change, share, splits)
