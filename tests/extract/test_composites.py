"""Whole histories, of which the generator knows how many messages of each kind everybody wrote, and how many bytes."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from ftstudy.extract import reply_pairs
from ftstudy.sources import read_messages

LRM = "\u200e"
WORDS = "ok tamam 好的 ja also später görüşürüz 🎉 where are we going 明天见 haha <3 12:30 schön — 'quoted' \"said\" a: b".split()
# Locale -> how a message begins, and what the app writes: (as it is exported, kind, text in the table).
LOCALES = {
    "de": {
        "name": "WhatsApp Chat mit {}.txt",
        "head": lambda when: f"{when:%d.%m.%y, %H:%M} - ",
        "says": [
            ("<Medien ausgeschlossen>", "attachment", "[attachment]"),
            ("Diese Nachricht wurde gelöscht.", "unsent", None),
            ("Du hast diese Nachricht gelöscht.", "unsent", None),
            ("Verpasster Sprachanruf", "system", None),
            ("{} <Diese Nachricht wurde bearbeitet.>", "text", "{}"),
            ("IMG-20240101-WA0001.jpg (Datei angehängt)", "attachment", "[photo]"),
            ("null", "system", None),
        ],
    },
    "tr": {
        "name": "{} ile WhatsApp Sohbeti.txt",
        "head": lambda when: f"{when.day}.{when.month:02d}.{when:%Y %H:%M} - ",
        "says": [
            ("<Medya dahil edilmedi>", "attachment", "[attachment]"),
            ("Bu mesaj silindi", "unsent", None),
            ("Cevapsız sesli arama", "system", None),
            ("{} <Bu mesaj düzenlendi>", "text", "{}"),
            ("rapor.pdf (dosya ekli)", "attachment", "[attachment]"),
            ("ANKET:\nNe zaman?\nSEÇENEK: Pazartesi (1 oy)\nSEÇENEK: Salı (2 oy)", "app", None),
            ("konum: https://maps.google.com/?q=1.0,2.0", "app", None),
        ],
    },
    "en": {
        "name": "WhatsApp Chat - {}/_chat.txt",
        "head": lambda when: (
            f"[{when.month}/{when.day}/{when:%y}, {when.hour % 12 or 12}:{when:%M:%S}\u202f{when:%p}] "
        ),
        "says": [
            (f"{LRM}image omitted", "attachment", "[photo]"),
            (f"{{}} {LRM}video omitted", "attachment", "{} [attachment]"),
            (f"{LRM}<attached: 00000012-PHOTO-2024-01-01-10-00-00.jpg>", "attachment", "[photo]"),
            (f"{LRM}This message was deleted.", "unsent", "This message was deleted."),
            (f"{LRM}Missed voice call", "system", "Missed voice call"),
            (f"{{}} {LRM}<This message was edited>", "text", "{}"),
        ],
    },
    "zh": {
        "name": "WhatsApp Chat - {}/_chat.txt",
        "head": lambda when: (
            f"[{when.year}/{when.month}/{when.day} {'下午' if when.hour > 11 else '上午'}{when.hour % 12 or 12}:{when:%M:%S}] "
        ),
        "says": [
            (f"{LRM}图像已省略", "attachment", "[photo]"),
            (f"{{}} {LRM}<附件：00000043-PHOTO-2024-09-13-13-39-12.jpg>", "attachment", "{} [photo]"),
            (f"{LRM}您已删除此消息。", "unsent", "您已删除此消息。"),
            (f"{LRM}你更改了群组图标", "system", "你更改了群组图标"),
        ],
    },
}


def texts(dice):
    while True:
        line = " ".join(dice.choices(WORDS, k=dice.randrange(1, 9)))
        yield line if dice.random() < 0.9 else line + "\n" + " ".join(dice.choices(WORDS, k=3))


def tally(rows):
    """(conversation, sender, kind) -> [messages, bytes of their texts]"""
    found = {}
    for conversation, sender, kind, text in rows:
        entry = found.setdefault((conversation, sender, kind), [0, 0])
        entry[0] += 1
        entry[1] += len(text.encode())
    return found


def tally_of(table):
    return tally(table[["conversation", "sender", "kind", "text"]].itertuples(index=False))


def whatsapp_folder(folder, number):
    """Eight chats in four locales; yields the rows of the table."""
    dice, text = random.Random(7), texts(random.Random(8))
    for place, name in enumerate(("Ada", "Bea", "Cem", "Dai", "Eva", "Fay", "Gül", "Hui")):
        locale = LOCALES[list(LOCALES)[place % 4]]
        when, lines = datetime(2023, 1, 2, 9), []
        for _ in range(number // 8):
            when += timedelta(minutes=dice.randrange(1, 500), seconds=dice.randrange(60))
            sender = dice.choice(["Sam", name])
            written, kind, read = dice.choice(locale["says"]) if dice.random() < 0.2 else ("{}", "text", "{}")
            said = next(text)
            lines.append(f"{locale['head'](when)}{sender}: {written.replace('{}', said)}\n")
            yield name, "me" if sender == "Sam" else name, kind, (read or written).replace("{}", said)
        file = folder / locale["name"].format(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines), encoding="utf-8")


def test_whatsapp_folder_of_four_locales(tmp_path):
    expected = tally(whatsapp_folder(tmp_path, 5000))
    table = read_messages(tmp_path, me=["Sam"])
    assert len(table) == 5000 and table.attrs["skipped"] == {} and not table["is_group"].any()
    assert tally_of(table) == expected
    notes = " ".join(table.attrs["notes"])
    assert "another form" not in notes and "left out" not in notes
    pairs, funnel = reply_pairs.build(table)
    kinds = Counter()
    for (_, _, kind), (count, _) in expected.items():
        kinds[kind] += count
    removed = {step["step"].split(":")[0]: step["removed"] for step in funnel}
    assert {kind: removed[kind] for kind in ("system", "app", "unsent")} == {
        k: kinds[k] for k in ("system", "app", "unsent")
    }
    replies = "\n".join(pair["reply"] for pair in pairs)
    said = [written.replace("{}", "").strip() for locale in LOCALES.values() for written, *_ in locale["says"]]
    assert pairs and not [words for words in said if words in replies]


def telegram_account(file, number):
    dice, text = random.Random(1), texts(random.Random(2))
    chats = []
    kinds = [
        ("text", {}),
        ("text", {}),
        ("text", {"edited": "2024-01-01T00:00:00"}),
        ("attachment", {"photo": "photos/a.jpg"}),
        ("attachment", {"file": "a.ogg", "media_type": "voice_message"}),
        ("forward", {"forwarded_from": "Zoe"}),
        ("app", {"poll": {"question": "when"}}),
        ("system", {"type": "service", "action": "phone_call"}),
    ]
    for place, name in enumerate(("Ada", "Bea", "Team")):
        is_group, when, messages = name == "Team", datetime(2023, 1, 2, 9, tzinfo=UTC), []
        others = ["Ada", "Bea", "Cy"] if is_group else [name]
        for at in range(number // 3):
            when += timedelta(minutes=dice.randrange(1, 300))
            sender, said, (kind, more) = dice.choice(["Sam", *others]), next(text), dice.choice(kinds)
            number_of = {"Sam": 111, "Ada": 200, "Bea": 201, "Cy": 202}[sender]
            row = {"id": at, "type": "message", "date": f"{when:%Y-%m-%dT%H:%M:%S}", "from": sender}
            row |= {"date_unixtime": str(int(when.timestamp())), "from_id": f"user{number_of}"}
            half = len(said) // 2
            row["text"] = said if at % 3 else [said[:half], {"type": "bold", "text": said[half:]}]
            messages.append(row | more)
            file_text = {"photo": "[photo] ", "file": "[attachment] "}.get(next(iter(more), ""), "")
            conversation = "group:Team" if is_group else name
            yield conversation, "me" if sender == "Sam" else sender, kind, file_text + said
        type_ = "private_group" if is_group else "personal_chat"
        chats.append({"name": name, "type": type_, "id": 200 + place, "messages": messages})
    file.write_text(json.dumps({"chats": {"list": chats}}, ensure_ascii=False, indent=1), encoding="utf-8")


def test_telegram_account(tmp_path):
    expected = tally(telegram_account(tmp_path / "result.json", 3300))
    table = read_messages(tmp_path)
    assert len(table) == 3300 and table.attrs["skipped"] == {}
    assert tally_of(table) == expected


def discord_server(folder, number):
    """Channels in folders of folders, one of them in two parts that overlap."""
    dice, text = random.Random(3), texts(random.Random(4))
    people = {"Sam": "1001", "Ada": "1002", "Bea": "1003"}
    kinds = [
        ("text", {}),
        ("text", {}),
        ("text", {"type": "Reply", "reference": {"messageId": "5"}}),
        ("attachment", {"attachments": [{"fileName": "a.png"}]}),
        ("attachment", {"stickers": [{"name": "wave"}]}),
        ("system", {"type": "ChannelPinnedMessage"}),
        ("forward", {"reference": {"type": "Forward"}}),
    ]
    serial = 0
    for place, (name, type_) in enumerate(
        [("Ada", "DirectTextChat"), ("general", "GuildTextChat"), ("plans", "GuildPublicThread")]
    ):
        is_group, when, messages = type_ != "DirectTextChat", datetime(2023, 1, 2, tzinfo=UTC), []
        guild = {"id": "9", "name": "Climbers"} if is_group else {"id": "0", "name": "Direct Messages"}
        for _ in range(number // 3):
            serial += 1
            when += timedelta(seconds=dice.randrange(1, 9000))
            sender, said, (kind, more) = (
                dice.choice([*people] if is_group else ["Sam", "Ada"]),
                next(text),
                dice.choice(kinds),
            )
            author = {
                "id": people[sender],
                "name": sender.lower(),
                "discriminator": "0000",
                "nickname": sender,
                "isBot": False,
            }
            row = {
                "id": str(serial),
                "type": "Default",
                "timestamp": when.isoformat(),
                "content": said,
                "author": author,
            }
            messages.append(row | {"attachments": [], "embeds": [], "stickers": []} | more)
            file_text = {"attachments": " [photo]", "stickers": " [attachment]"}.get(next(iter(more), ""), "")
            conversation = f"group:Climbers/{name}" if is_group else name
            yield conversation, "me" if sender == "Sam" else sender, kind, said + file_text
        export = {"guild": guild, "channel": {"id": str(50 + place), "type": type_, "name": name}}
        where = folder / guild["name"] / "channels" / name
        where.mkdir(parents=True)
        parts = [messages[: len(messages) // 2 + 50], messages[len(messages) // 2 :]] if is_group else [messages]
        for at, part in enumerate(parts):
            (where / f"{name} [part {at + 1}].json").write_text(
                json.dumps(export | {"messages": part}), encoding="utf-8"
            )


def test_discord_folders_of_folders(tmp_path):
    expected = tally(discord_server(tmp_path, 3300))
    (tmp_path / "Climbers" / "settings.json").write_text('{"theme": "dark"}')
    table = read_messages(tmp_path, me=["sam"])
    assert len(table) == 3300 and table.attrs["skipped"]["a second copy of a message"]["count"] == 100
    assert tally_of(table) == expected
