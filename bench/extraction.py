"""How fast, and in how much memory, a chat history becomes training data: `make bench`.

Every measurement is a process of its own. Seconds depend on the machine and on what else it
does, so compare figures of one run with each other, not with those of another.
"""

import json
import random
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from ftstudy import paths, privacy, sources
from ftstudy.demo.apple_messages import write_chat_db
from ftstudy.extract import reply_pairs, variant_folder, variants
from ftstudy.files import replace_file

FOLDER = paths.DATA / "bench"
SIZES = (10_000, 100_000, 1_000_000)
SMALL = 100_000  # messages, for the comparison of sources
START = datetime(2015, 1, 1, tzinfo=UTC)
WORDS = "ok so i was thinking we could go there tomorrow or not lol yeah no idea what time works for you haha".split()


def history(number: int):
    """Yield (person, is_owner, time, text): invented chats, in order of time, 20 messages a session."""
    dice = random.Random(number)
    when = START
    for at in range(number):
        if at % 20 == 0:
            person = f"Person {dice.randrange(1 + number // 2000)}"
            when += timedelta(hours=2)
        when += timedelta(seconds=dice.randrange(5, 300))
        text = " ".join(dice.choices(WORDS, k=dice.randrange(1, 12)))
        if dice.random() < 0.01:
            text += dice.choice(
                [" call 212 555 0147", " mail ann@example.org", " https://example.org/a?key=3f9a", " 🎉"]
            )
        yield person, dice.random() < 0.45, when, text


def imessage(file: Path, number: int) -> None:
    address = {f"Person {one}": f"+1{2000000000 + one}" for one in range(1 + number // 2000)}
    write_chat_db(
        (
            {"chat": address[who], "sender": None if mine else address[who], "time": when, "text": text}
            for who, mine, when, text in history(number)
        ),
        file,
    )


def whatsapp(file: Path, number: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for _, mine, when, text in history(number):
            out.write(f"[{when:%d.%m.%y, %H:%M:%S}] {'Sam' if mine else 'Anna'}: {text}\n")


def telegram(file: Path, number: int) -> None:
    chats = {}
    for at, (who, mine, when, text) in enumerate(history(number)):
        chat = chats.setdefault(who, {"name": who, "type": "personal_chat", "id": len(chats) + 10, "messages": []})
        sender = ("Sam", "user1") if mine else (who, f"user{chat['id']}")
        entities = [{"type": "plain", "text": text}]
        chat["messages"].append(
            {"id": at, "type": "message", "date": when.isoformat()[:19], "date_unixtime": str(int(when.timestamp()))}
            | {"from": sender[0], "from_id": sender[1], "text": text, "text_entities": entities}
        )
    account = {"personal_information": {"user_id": 1}, "chats": {"list": list(chats.values())}}
    file.write_text(json.dumps(account, indent=1), encoding="utf-8")


def rows(number: int):
    for who, mine, when, text in history(number):
        yield {"conversation": who, "sender": "Sam" if mine else who, "timestamp": when.isoformat(), "text": text}


def jsonl(file: Path, number: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows(number))


def csv(file: Path, number: int) -> None:
    import pandas

    pandas.DataFrame(rows(number)).to_csv(file, index=False)


def parquet(file: Path, number: int) -> None:
    import pandas

    pandas.DataFrame(rows(number)).to_parquet(file)


def signal(file: Path, number: int) -> None:
    folders = {}
    for who, mine, when, text in history(number):
        line = {"date": when.replace(tzinfo=None).isoformat(), "sender": "Me" if mine else who, "body": text + "  "}
        line |= {"quote": "", "sticker": None, "reactions": [], "attachments": []}
        folders.setdefault(who, []).append(json.dumps(line) + "\n")
    for who, lines in folders.items():
        (file / who).mkdir(parents=True)
        (file / who / "data.json").write_text("".join(lines), encoding="utf-8")


def discord(file: Path, number: int) -> None:
    messages = []
    for at, (_, mine, when, text) in enumerate(history(number)):
        author = {"id": "1", "name": "Sam"} if mine else {"id": "2", "name": "Anna"}
        author |= {"discriminator": "0000", "nickname": author["name"], "isBot": False}
        message = {"id": str(at), "type": "Default", "timestamp": when.isoformat(), "content": text, "author": author}
        messages.append(message | {"attachments": [], "embeds": [], "stickers": [], "reactions": [], "mentions": []})
    channel = {"id": "5", "type": "DirectTextChat", "name": "Anna"}
    file.write_text(json.dumps({"guild": {"id": "0"}, "channel": channel, "messages": messages}), encoding="utf-8")


def signal_desktop(file: Path, number: int) -> None:
    people = {f"Person {one}": str(one + 2) for one in range(1 + number // 2000)}
    with file.open("w", encoding="utf-8") as out:
        lines = [{"version": "1", "backupTimeMs": "1"}, {"recipient": {"id": "1", "self": {}}}]
        for who, one in people.items():
            lines.append({"recipient": {"id": one, "contact": {"profileGivenName": who}}})
            lines.append({"chat": {"id": one, "recipientId": one}})
        out.writelines(json.dumps(line) + "\n" for line in lines)
        for who, mine, when, text in history(number):
            item = {
                "chatId": people[who],
                "authorId": "1" if mine else people[who],
                "dateSent": str(milliseconds(when)),
            }
            item |= {
                "outgoing" if mine else "incoming": {},
                "standardMessage": {"text": {"body": text}, "reactions": []},
            }
            out.write(json.dumps({"chatItem": item}) + "\n")


def meta(file: Path, number: int) -> None:
    messages = [
        {"sender_name": "Sam" if mine else "Anna", "timestamp_ms": milliseconds(when)}
        | {"content": text.encode().decode("latin-1"), "is_geoblocked_for_viewer": False}
        for _, mine, when, text in history(number)
    ]
    thread = {"participants": [{"name": "Anna"}, {"name": "Sam"}], "messages": messages[::-1], "title": "Anna"}
    file.write_text(json.dumps(thread | {"thread_path": "inbox/anna_1"}), encoding="utf-8")


def whatsapp_json(file: Path, number: int) -> None:
    chats = {}
    for at, (who, mine, when, text) in enumerate(history(number)):
        address = f"{15550000000 + int(who.split()[1])}@s.whatsapp.net"
        chat = chats.setdefault(address, {"name": who, "type": "android", "messages": {}})
        message = {"from_me": mine, "timestamp": when.timestamp(), "media": False, "key_id": f"K{at}", "meta": False}
        chat["messages"][str(at)] = message | {"data": text, "sender": None, "reply": None, "caption": None}
    file.write_text(json.dumps(chats), encoding="utf-8")


def sms(file: Path, number: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write(f"<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n<smses count=\"{number}\">\n")
        for who, mine, when, text in history(number):
            body = escape(text.replace("🎉", "&#55356;&#57225;"), {'"': "&quot;"}).replace("&amp;#", "&#")
            out.write(
                f'  <sms protocol="0" address="+1{2000000000 + int(who.split()[1])}" date="{milliseconds(when)}" '
            )
            out.write(f'type="{2 if mine else 1}" body="{body}" read="1" status="-1" contact_name="{who}" />\n')
        out.write("</smses>")


def milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)


# name -> how to write it, the file's ending, and the reader
KINDS = {
    "imessage": (imessage, ".db", "imessage"),
    "whatsapp": (whatsapp, ".txt", "whatsapp"),
    "telegram": (telegram, ".json", "telegram"),
    "jsonl": (jsonl, ".jsonl", "table"),
    "csv": (csv, ".csv", "table"),
    "parquet": (parquet, ".parquet", "table"),
    "signal": (signal, "", "signal"),
    "discord": (discord, ".json", "discord"),
    "signal_desktop": (signal_desktop, ".jsonl", "signal_desktop"),
    "meta": (meta, ".json", "meta"),
    "whatsapp_json": (whatsapp_json, ".json", "whatsapp_json"),
    "sms": (sms, ".xml", "sms"),
}


def source(name: str, number: int) -> Path:
    """The synthetic history of that kind and size, written once."""
    write, ending, _ = KINDS[name]
    file = FOLDER / f"{name}-{number}{ending}"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        if ending:
            with replace_file(file) as new:
                write(new, number)
        else:
            write(file, number)
    return file


def measure(name: str, number: int) -> dict:
    """Extract one history, in this process: seconds of each step, and peak memory."""
    file = source(name, number)
    seconds, before = {}, time.perf_counter()

    def done(step):
        nonlocal before
        seconds[step], before = time.perf_counter() - before, time.perf_counter()

    messages = sources.read_messages(file, KINDS[name][2], me=["Sam"])
    done("read")
    messages, _ = privacy.mask(messages, privacy.people_of(messages, [], "Sam", ["Sam"]))
    done("mask")
    pairs, funnel = reply_pairs.build(messages)
    done("pair")
    origin = {"source": file.name, "owner": "Sam", "kind": name}
    written = variants.write(pairs, "Sam", [variant_folder.DEFAULT], FOLDER / f"out-{name}-{number}", origin, funnel)
    done("write")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    examples = sum(part["examples"] for part in written[variant_folder.DEFAULT].values())
    return {"messages": len(messages), "seconds": seconds, "memory": memory, "examples": examples}


def measured(name: str, number: int) -> dict:
    """The same in a process of its own. Writing the history has another: on Linux a child's peak
    memory begins with its parent's."""
    for what in ("write", "measure"):
        call = [sys.executable, __file__, what, name, str(number)]
        child = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout)


def main() -> None:
    print("Apple Messages, from the database to the rows\n")
    print(
        f"{'messages':>10} {'rows':>9} {'read s':>7} {'mask s':>7} {'pair s':>7} {'write s':>7} {'messages/s':>11} {'MiB':>6}"
    )
    per_message = []
    for number in SIZES:
        found = measured("imessage", number)
        total = sum(found["seconds"].values())
        per_message.append(total / number)
        steps = " ".join(f"{found['seconds'][step]:7.2f}" for step in ("read", "mask", "pair", "write"))
        print(f"{number:>10,} {found['examples']:>9,} {steps} {number / total:>11,.0f} {found['memory']:>6,.0f}")
    grown = ", ".join(f"{later / per_message[0]:.2f}" for later in per_message[1:])
    print(f"\nTime per message, as a multiple of that at {SIZES[0]:,}: {grown}. Linear is 1.\n")
    print(f"Each source at {SMALL:,} messages\n")
    print(f"{'source':>14} {'read s':>7} {'messages/s':>11} {'to imessage':>12} {'MiB':>6}")
    speeds = {name: measured(name, SMALL) for name in KINDS}
    for name, found in speeds.items():
        seconds = found["seconds"]["read"]
        ratio = speeds["imessage"]["seconds"]["read"] / seconds
        print(f"{name:>14} {seconds:7.2f} {SMALL / seconds:>11,.0f} {ratio:>11.1f}x {found['memory']:>6,.0f}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        what, name, number = sys.argv[1:]
        print(json.dumps(measure(name, int(number))) if what == "measure" else source(name, int(number)))
