"""Chat histories: one reader per app, all returning the same messages table.

    read_messages(source) -> messages table

The messages table is a pandas DataFrame with one row per message (one bubble, not a burst), sorted
by time; messages sent at the same time keep the order of the source:

    conversation  str   the chat; the same on every reading. A person is one conversation, however
                        many addresses they write from
    is_group      bool  more than two people
    sender        str   display name or address; "me" for the owner
    is_owner      bool  written by the owner of the history
    timestamp     datetime64[us, UTC]
    text          str   exactly as written, newlines included; "" if there is none. An attachment
                        appears as "[photo]" or "[attachment]"
    kind          str   one of KINDS; only "text" can become a training target
    message_id    str   unique
    reply_to      str or None: the message_id that this message answers or reacts to

Readers never drop anything silently. A message that must not be trained on keeps its row and gets
its kind, so that `reply_pairs` can report how many were left out and why. Anything that cannot be a
row (a duplicate, a broken line) is counted in `table.attrs["skipped"]`: reason -> {"count",
"examples"}. `table.attrs["notes"]` lists, in sentences, what the reader had to infer.
`read_messages` adds `table.attrs["kind"]`, the reader, and `table.attrs["source"]`, the file.

To add an app, write a module here with `read(file, ...) -> messages table` (build it with
`make_table`) and say in `recognize.py` how its files look. Parameters other than the file (me, date_order, time_zone)
are settings that `read_messages` passes on.
"""

import inspect
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from errno import EINVAL
from importlib import import_module
from pathlib import Path

import numpy
import pandas

from ..chat_format.owner import check_name
from ..errors import StudyError
from ..files.reading import refuse_special, why
from ..paths import absolute, shown
from .recognize import READERS, kind_of

COLUMNS = ["conversation", "is_group", "sender", "is_owner", "timestamp", "text", "kind", "message_id", "reply_to"]
OWNER_SENDER = "me"
PHOTO = "[photo]"
ATTACHMENT = "[attachment]"
KINDS = {
    "text": "an ordinary message",
    "attachment": "a photo or file, with or without words; used as context, never as a target",
    "forward": "written by somebody else and forwarded; used as context, never as a target",
    "tapback": "a reaction to a message, including one that arrived as text: Liked “…”",
    "system": "somebody joined, left, called, renamed the group, …",
    "app": "a game, payment, poll, location or bot message",
    "placeholder": "a line in brackets that several people sent word for word: written by the app, for something else",
    "unsent": "unsent by its sender",
    "deleted": "deleted by the owner: no longer in any chat",
    "undated": "no date, or one before 1990 or after 2100, so its place in the conversation is unknown",
    "unreadable": "text that cannot be decoded",
    "oversized": "longer than 100,000 characters, so not typed by a person; only its beginning is kept",
    "empty": "no text and nothing else known",
}
LONGEST = 100_000  # characters
EARLIEST, LATEST = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100 in microseconds since 1970


def read_messages(source: str | Path, kind: str = "auto", **settings) -> pandas.DataFrame:
    """Read one chat history into a messages table (columns: see the module).

    `kind` is one of READERS; "auto" recognizes it from the source. Settings, if the reader needs
    them: `me`, the owner's names in the source; `date_order`, "dmy", "mdy" or "ymd"; `time_zone`,
    the zone of times written without one (default UTC).

    StudyError: unknown kind, a setting this kind does not use, no message by the owner, or anything
    wrong with the source.
    """
    file = absolute(source)
    _refuse_special(file)
    kind = kind_of(file) if kind == "auto" else kind
    if kind not in READERS:
        raise StudyError(f"Unknown kind of chat history: {kind!r}. Use one of {', '.join(READERS)}.")
    read = import_module(f".{kind}", __name__).read
    accepted = set(inspect.signature(read).parameters)
    given = {name: value for name, value in settings.items() if value}
    unused = set(given) - accepted - {"me"}  # every owner has a name, but not every source needs it
    if unused:
        raise StudyError(
            f"{shown(file)} is read as {kind}, which does not use {', '.join(sorted(unused))}: its dates are unambiguous. "
            "Remove that setting, or choose another kind (KIND=… or --kind)."
        )
    table = read(file, **{name: value for name, value in given.items() if name in accepted})
    if (table["kind"] == "undated").all():
        raise _all_undated(file, table)
    if not table["is_owner"].any():
        raise _owner_missing(file, table, given.get("me", ()) if "me" in accepted else None)
    table.attrs |= {"kind": kind, "source": shown(file)}
    return table


def _refuse_special(file: Path) -> None:
    """StudyError for a pipe, a socket or a device. What else is wrong with a source, its reader explains."""
    try:
        refuse_special(file)
    except OSError as error:
        if error.errno == EINVAL:
            raise StudyError(
                f"{shown(file)} cannot be read: {why(error)}. Save the chat history to a file, and name that file "
                "(SOURCE=… or --source)."
            ) from error


def _owner_missing(file: Path, table: pandas.DataFrame, me) -> StudyError:
    counts = table["sender"].value_counts()
    senders = ", ".join(f"{name} ({count:,})" for name, count in counts.head(8).items())
    senders += f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
    if me is None:
        me, fix = ["its owner"], "Use the history of the person whose replies you want to learn."
    else:
        fix = "Say which sender is the owner, spelled exactly as here (ME=… or --me)."
    return StudyError(
        f"{shown(file)} has no message by {' or '.join(me)}, so there is no reply to learn from. Its senders are "
        f"{senders}. {fix}"
    )


def _all_undated(file: Path, table: pandas.DataFrame) -> StudyError:
    written = table.attrs.get("undated", "")
    is_date = re.fullmatch(r"[\w .,:/+-]{4,40}", written) and sum(map(str.isdigit, written)) > 3  # no message is quoted
    skipped = "".join(f"; {entry['count']:,} × {reason}" for reason, entry in table.attrs["skipped"].items())
    return StudyError(
        f"{shown(file)} has no date that can be read{f', such as {written!r}' if is_date else ''}: all of its "
        f"{len(table):,} messages have none, or one before 1990 or after 2100{skipped}. Without dates nothing says which "
        "messages belong together. Write them as 2024-02-20 17:03 (ISO 8601) or as Unix time, or export again."
    )


def check_owner(source: str | Path, owner: str) -> None:
    """StudyError if the owner of a source has a blank name, or one as `chat_format.owner.check_name` rejects."""
    check_name(owner)
    if not owner.strip():
        raise StudyError(
            f"The owner of {source} has no name. Set OWNER=… or --owner to the name that the prompts should use for "
            "the person whose replies are learned."
        )


def skip(skipped: dict, reason: str, text: str) -> None:
    """Count something that cannot become a row, and keep up to three examples."""
    entry = skipped.setdefault(reason, {"count": 0, "examples": []})
    entry["count"] += 1
    if text.strip() and len(entry["examples"]) < 3:
        entry["examples"].append(text[:200])


def make_table(rows: Iterable[dict], skipped: dict | None = None, notes: Iterable[str] = ()) -> pandas.DataFrame:
    """Build the messages table from rows in the order of the source: sorts them and drops duplicates.

    A row is a dict with the table's columns as keys; `timestamp` is an int, microseconds since 1970
    UTC, and `written`, if given, the date as the source has it. `is_group` and `reply_to` may be left out. `rows` may be
    a generator. For every source alike, the owner becomes "me" and nobody else is called that, a blank text becomes
    `empty`, one with broken characters `unreadable`, an impossible date `undated`, and an enormous text `oversized`.
    """
    skipped = {} if skipped is None else skipped
    columns = {name: [] for name in COLUMNS}
    seen, shared, undated = set(), {}, ""
    for row in rows:
        row = _checked_row(row)
        undated = undated or (row["written"] if row["kind"] == "undated" else "")
        if row["message_id"] in seen:
            skip(skipped, "a second copy of a message", row["text"])
            continue
        seen.add(row["message_id"])
        for name in ("conversation", "sender", "kind"):
            row[name] = shared.setdefault(row[name], row[name])  # one string in memory, not one per row
        for name, values in columns.items():
            values.append(row[name])
    times = numpy.array(columns.pop("timestamp"), dtype="int64")
    order = numpy.argsort(times, kind="stable")
    table = pandas.DataFrame({name: pandas.Series(values, dtype=object) for name, values in columns.items()})
    table.insert(4, "timestamp", pandas.to_datetime(times, unit="us", utc=True).astype("datetime64[us, UTC]"))
    table = table.astype({"is_group": bool, "is_owner": bool}).iloc[order].reset_index(drop=True)
    table.attrs = {"skipped": skipped, "notes": list(notes)} | ({"undated": undated} if undated else {})
    return check(table)


def _checked_row(row: dict) -> dict:
    row = {"is_group": False, "reply_to": None, "written": ""} | row
    row["sender"] = sender_of(row["sender"], row["is_owner"])
    if row["kind"] == "text" and not row["text"].strip():
        row["kind"] = "empty"
    for name in ("text", "sender", "conversation", "message_id", "reply_to"):
        try:
            (row[name] or "").encode()
        except UnicodeEncodeError:  # a lone surrogate: an invalid byte, or half of an emoji
            row[name] = row[name].encode("utf-8", "replace").decode()
            row["kind"] = "unreadable" if name == "text" else row["kind"]
    if not EARLIEST <= row["timestamp"] < LATEST:
        row["written"] = row["written"] or _date_of(row["timestamp"])
        row |= {"timestamp": min(max(row["timestamp"], 0), LATEST), "kind": "undated"}
    if len(row["text"]) > LONGEST:
        row |= {"text": row["text"][:200] + " …", "kind": "oversized"}
    return row


def sender_of(name: str, is_owner: bool) -> str:
    """The sender for the messages table: "me" is the owner and nobody else."""
    if is_owner:
        return OWNER_SENDER
    return f"{name} (not the owner)" if name == OWNER_SENDER else name


def _date_of(microseconds: int) -> str:
    try:
        return f"{datetime(1970, 1, 1) + timedelta(microseconds=microseconds):%Y-%m-%d}" if microseconds else ""
    except OverflowError:
        return ""


def check(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return the table if it is a messages table. ValueError: what the reader did wrong."""

    def demand(is_met, problem):
        if not is_met:
            raise ValueError(f"not a messages table: {problem}")

    demand(list(table.columns) == COLUMNS, f"columns {list(table.columns)}, not {COLUMNS}")
    for column, dtype in (("is_group", "bool"), ("is_owner", "bool"), ("timestamp", "datetime64[us, UTC]")):
        demand(table[column].dtype == dtype, f"{column} is {table[column].dtype}, not {dtype}")
    for column in ("conversation", "sender", "text", "kind", "message_id"):
        demand(table[column].map(lambda value: isinstance(value, str)).all(), f"{column} has a value that is not text")
    is_id_or_none = table["reply_to"].map(lambda value: value is None or isinstance(value, str))
    demand(is_id_or_none.all(), "reply_to has a value that is neither text nor None")
    unknown = set(table["kind"]) - set(KINDS)
    demand(not unknown, f"unknown kinds {sorted(unknown)}")
    demand(table["message_id"].is_unique, "a message_id occurs twice")
    demand(not table["timestamp"].isna().any(), "a message without a timestamp")
    demand(table["timestamp"].is_monotonic_increasing, "messages are not in the order of time")
    is_me = table["sender"] == OWNER_SENDER
    demand((is_me == table["is_owner"]).all(), f"sender {OWNER_SENDER!r} and is_owner disagree")
    mixed = table.groupby("conversation")["is_group"].nunique() > 1
    demand(not mixed.any(), "a conversation is both a group and not a group")
    return table
