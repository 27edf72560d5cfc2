"""Chat histories, one reader an app, all into the one messages table.

    read_messages(source) -> messages table

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

A reader drops nothing silently. What must not be trained on keeps its row and its kind, so that
`reply_pairs` can say how many it left out and why; what cannot be a row at all (a second copy, a
broken line) is counted in `table.attrs["skipped"]`: reason -> {"count", "examples"}. What the
reader had to infer stands in `table.attrs["notes"]`, a list of sentences; `read_messages` adds
`table.attrs["kind"]`, which reader it was, and `table.attrs["source"]`, the file as it is shown.
"""

import inspect
import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import numpy
import pandas

from ..errors import StudyError
from ..paths import from_root, shown

COLUMNS = ["conversation", "is_group", "sender", "is_owner", "timestamp", "text", "kind", "message_id", "reply_to"]
OWNER_SENDER = "me"
PHOTO = "[photo]"
ATTACHMENT = "[attachment]"
KINDS = {
    "text": "an ordinary message",
    "attachment": "a photo or file, with or without words; good as context, never as a target",
    "forward": "written by somebody else and passed on; good as context, never as a target",
    "tapback": "a reaction to a message, also one that arrived as the words Liked “…”",
    "system": "somebody joined, left, called, renamed the group, …",
    "app": "a game, a payment, a poll, a place, a bot",
    "unsent": "taken back by its sender",
    "deleted": "in no chat any more, waiting for its final deletion",
    "undated": "without a date, or with one before 1990 or after 2100, so without a place in the conversation",
    "unreadable": "its text is stored in a form that cannot be decoded",
    "oversized": "longer than 100,000 characters, which nobody types; only its beginning is kept",
    "empty": "no text, and nothing else that is known",
}
# Each name is a module here with `read(file, ...) -> messages table`; what it takes besides the
# file (me, date_order, time_zone) are the settings that `read_messages` passes on.
READERS = ["imessage", "whatsapp", "telegram", "table", "signal", "discord"]
LONGEST = 100_000  # characters
EARLIEST, LATEST = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100 in microseconds since 1970


def read_messages(source: str | Path, kind: str = "auto", **settings) -> pandas.DataFrame:
    """Read one chat history into a messages table (columns: see the module).

    `kind` is one of READERS; "auto" looks at the source. Settings, where a reader needs them:
    `me`, the names under which the owner stands in the source; `date_order`, "dmy", "mdy" or
    "ymd"; `time_zone`, of times that are written without one (UTC).

    StudyError: an unknown kind, a setting that this kind has no use for, no message by the
    owner, or whatever is wrong with the source.
    """
    file = from_root(source)
    kind = kind_of(file) if kind == "auto" else kind
    if kind not in READERS:
        raise StudyError(
            f"There is no reader for a chat history of the kind {kind!r}. Use one of these kinds: {', '.join(READERS)}."
        )
    read = import_module(f".{kind}", __name__).read
    takes = set(inspect.signature(read).parameters)
    given = {name: value for name, value in settings.items() if value}
    useless = set(given) - takes - {"me"}  # everybody has a name; not every source needs it
    if useless:
        raise StudyError(
            f"{shown(file)} is read as {kind}, which has no use for {', '.join(sorted(useless))}: its dates leave no "
            "doubt. Leave it out, or name another kind (KIND=… or --kind)."
        )
    table = read(file, **{name: value for name, value in given.items() if name in takes})
    if not table["is_owner"].any():
        raise _nobody_is_the_owner(file, table, given.get("me", ()), "me" in takes)
    table.attrs |= {"kind": kind, "source": shown(file)}
    return table


def _nobody_is_the_owner(file: Path, table: pandas.DataFrame, me, goes_by_name: bool) -> StudyError:
    counts = table["sender"].value_counts()
    found = ", ".join(f"{name} ({count:,})" for name, count in counts.head(8).items())
    found += f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
    if goes_by_name:
        fix = "Say which of them is the owner, spelt as there (ME=… or --me)."
    else:
        me, fix = ["its owner"], "Give the history of the person whose replies are to be learned."
    return StudyError(
        f"{shown(file)} holds no message by {' or '.join(me)}, so there is no reply to learn from. Its senders are "
        f"{found}. {fix}"
    )


def kind_of(file: Path) -> str:
    """Which reader a source is for, by its name and first bytes. StudyError: none can be told."""
    if os.path.isdir(file):  # unlike Path.is_dir, no error where looking is not permitted
        return _kind_of_folder(file)
    try:
        with file.open("rb") as opened:
            head = opened.read(2000)
    except OSError:  # not there, not permitted: what to do about it depends on where it is
        return "imessage" if file.suffix in (".db", "") else "table"
    if head.startswith(b"SQLite format 3\0") or file.suffix == ".db":
        return "imessage"
    if file.suffix in (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"):
        return "table"
    if head.startswith(b"PK") or file.suffix in (".txt", ".zip"):
        return "whatsapp"
    if file.suffix == ".json":
        if b'"guild"' in head:
            return "discord"
        return "signal" if file.name == "data.json" else "telegram"
    raise StudyError(
        f"It cannot be told which app wrote {shown(file)}. Name it with KIND=… or --kind: {', '.join(READERS)}."
    )


def _kind_of_folder(folder: Path) -> str:
    if folder.parts[-2:] == ("Library", "Messages"):  # without Full Disk Access it looks empty
        return "imessage"
    for pattern, kind in (
        ("chat.db", "imessage"),
        ("result.json", "telegram"),
        ("data.json", "signal"),
        ("*/data.json", "signal"),
        ("*.json", "discord"),
        ("*.zip", "whatsapp"),
        ("*.txt", "whatsapp"),
    ):
        if any(folder.glob(pattern)):
            return kind
    raise StudyError(
        f"The folder {shown(folder)} holds no chat history that is known. Give the exported file itself, or a folder "
        "of exports as WhatsApp, Signal or Discord write them."
    )


def skip(skipped: dict, reason: str, text: str) -> None:
    """Count something that cannot become a row, with up to three examples."""
    entry = skipped.setdefault(reason, {"count": 0, "examples": []})
    entry["count"] += 1
    if text.strip() and len(entry["examples"]) < 3:
        entry["examples"].append(text[:200])


def make_table(rows: Iterable[dict], skipped: dict | None = None, notes: Iterable[str] = ()) -> pandas.DataFrame:
    """The messages table of rows in the source's own order, sorted, without second copies.

    A row is a dict with the table's columns as keys; `timestamp` is an int, microseconds
    since 1970 UTC. Rows are taken one by one, so they may come from a generator. Here, for
    every source alike, a text with broken characters becomes `unreadable`, an impossible date
    `undated`, and an enormous text `oversized`.
    """
    skipped = {} if skipped is None else skipped
    columns = {name: [] for name in COLUMNS}
    seen, shared = set(), {}
    for row in rows:
        row = _mended(row)
        if row["message_id"] in seen:
            skip(skipped, "a second copy of a message", row["text"])
            continue
        seen.add(row["message_id"])
        for name in ("conversation", "sender", "kind"):
            row[name] = shared.setdefault(row[name], row[name])  # one string, not one a row
        for name, values in columns.items():
            values.append(row[name])
    times = numpy.array(columns.pop("timestamp"), dtype="int64")
    order = numpy.argsort(times, kind="stable")
    table = pandas.DataFrame({name: pandas.Series(values, dtype=object) for name, values in columns.items()})
    table.insert(4, "timestamp", pandas.to_datetime(times, unit="us", utc=True).astype("datetime64[us, UTC]"))
    table = table.astype({"is_group": bool, "is_owner": bool}).iloc[order].reset_index(drop=True)
    table.attrs = {"skipped": skipped, "notes": list(notes)}
    return check(table)


def _mended(row: dict) -> dict:
    for name in ("text", "sender", "conversation", "message_id", "reply_to"):
        try:
            (row[name] or "").encode()
        except UnicodeEncodeError:  # a lone surrogate: a byte that was not UTF-8, or half a character
            kind = "unreadable" if name == "text" else row["kind"]
            row = row | {name: row[name].encode("utf-8", "replace").decode(), "kind": kind}
    if not EARLIEST <= row["timestamp"] < LATEST:
        row = row | {"timestamp": min(max(row["timestamp"], 0), LATEST), "kind": "undated"}
    if len(row["text"]) > LONGEST:
        row = row | {"text": row["text"][:200] + " …", "kind": "oversized"}
    return dict(row)


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
