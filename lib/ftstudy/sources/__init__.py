"""Chat histories, one reader an app, all into the one messages table.

    read_messages(source, kind="imessage") -> messages table

The messages table is a pandas DataFrame with one row a message (a bubble, not a burst), in
the order of its time; messages of the same time stay in the order of the source:

    conversation  str   the chat, stable between two readings. A person is one conversation,
                        however many addresses they write from
    is_group      bool  more than two people
    sender        str   display name or address; the owner of the history is "me"
    is_owner      bool  written by the owner
    timestamp     datetime64[us, UTC]
    text          str   as written: no normalisation, newlines kept; "" where there is none. An
                        attachment inside it stands as "[photo]" or "[attachment]"
    kind          str   one of KINDS; only "text" can become a training target
    message_id    str   unique
    reply_to      str or None: the message_id that this one answers or reacts to

A reader drops nothing but a second copy of the same message, and counts those in
`table.attrs["duplicates"]`; what must not be trained on keeps its row and its kind, so that
`reply_pairs` can say how many it left out and why.
"""

from importlib import import_module
from pathlib import Path

import pandas

from ..errors import StudyError

COLUMNS = ["conversation", "is_group", "sender", "is_owner", "timestamp", "text", "kind", "message_id", "reply_to"]
OWNER_SENDER = "me"
PHOTO = "[photo]"
ATTACHMENT = "[attachment]"
KINDS = {
    "text": "an ordinary message",
    "attachment": "a photo or file, with or without words; good as context, never as a target",
    "tapback": "a reaction to a message, also one that arrived as the words Liked “…”",
    "system": "somebody joined, left, renamed the group, …",
    "app": "a game, a payment, a poll, handwriting",
    "unsent": "taken back by its sender",
    "deleted": "in no chat any more, waiting for its final deletion",
    "undated": "without a date, so without a place in the conversation",
    "unreadable": "its text is stored in a form that cannot be decoded",
    "empty": "no text, and nothing else that is known",
}
# Each name is a module here with `read(path) -> messages table`.
READERS = ["imessage"]


def read_messages(source: str | Path, kind: str = "imessage") -> pandas.DataFrame:
    """Read one chat history into a messages table (columns: see the module).

    StudyError: an unknown kind, or whatever is wrong with the source.
    """
    if kind not in READERS:
        raise StudyError(
            f"There is no reader for a chat history of the kind {kind!r}. Use one of these kinds: {', '.join(READERS)}."
        )
    return import_module(f".{kind}", __name__).read(source)


def make_table(rows: list[dict]) -> pandas.DataFrame:
    """The messages table of rows in the source's own order, sorted, without second copies.

    A row is a dict with the table's columns as keys; `timestamp` is an int, microseconds
    since 1970 UTC.
    """
    table = pandas.DataFrame(rows, columns=COLUMNS, dtype=object)
    table["timestamp"] = pandas.to_datetime(table["timestamp"].astype("int64"), unit="us", utc=True).astype(
        "datetime64[us, UTC]"
    )
    table = table.astype({"is_group": bool, "is_owner": bool})
    first = ~table["message_id"].duplicated()
    copies = int((~first).sum())
    table = table[first].sort_values("timestamp", kind="stable", ignore_index=True)
    table.attrs["duplicates"] = copies
    return check(table)


def check(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return the table if it is a messages table; ValueError says what a reader did wrong."""

    def demand(holds, what):
        if not holds:
            raise ValueError(f"not a messages table: {what}")

    demand(list(table.columns) == COLUMNS, f"columns {list(table.columns)}, not {COLUMNS}")
    for column, dtype in (("is_group", "bool"), ("is_owner", "bool"), ("timestamp", "datetime64[us, UTC]")):
        demand(table[column].dtype == dtype, f"{column} is {table[column].dtype}, not {dtype}")
    for column in ("conversation", "sender", "text", "kind", "message_id"):
        demand(
            table[column].map(lambda value: isinstance(value, str)).all(),
            f"{column} holds something that is not a string",
        )
    demand(
        table["reply_to"].map(lambda value: value is None or isinstance(value, str)).all(),
        "reply_to holds something that is neither a string nor None",
    )
    unknown = set(table["kind"]) - set(KINDS)
    demand(not unknown, f"unknown kinds {sorted(unknown)}")
    demand(table["message_id"].is_unique, "a message_id stands twice")
    demand(not table["timestamp"].isna().any(), "a message without a timestamp")
    demand(table["timestamp"].is_monotonic_increasing, "not in the order of time")
    demand(
        ((table["sender"] == OWNER_SENDER) == table["is_owner"]).all(),
        f"sender is {OWNER_SENDER!r} where is_owner is not true, or the other way round",
    )
    mixed = table.groupby("conversation")["is_group"].nunique() > 1
    demand(not mixed.any(), "a conversation that both is and is not a group")
    return table
