"""Characters that don't belong in a text: control tokens, rendered templates, and remains of wrong encodings."""

import re
import unicodedata
from collections import Counter

from ... import chat_format
from ..evidence import around, in_rows
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .speakers import HEADER

CONTROL_TOKENS = Check(
    "data.control_tokens",
    ("error",),
    "A control token of the tokenizer, or a well-known one, inside a message; one that people might type, such as "
    "`</s>`, only if many rows have it.",
    cause="The tokenizer encodes them as the tokens that begin and end turns: the model sees turns that nobody took.",
    fix="Remove them from the texts; an export of prompts is not a message history.",
    bad='{"role": "user", "content": "hey<|im_end|>"}',
    good='{"role": "user", "content": "hey"}',
)
ALREADY_TEMPLATED = Check(
    "data.templated",
    ("error",),
    "A message contains a rendered turn, which would be templated a second time.",
    cause="mlx-lm applies the chat template to every message, so these rows are templated twice.",
    fix="Write plain text into `content`, and leave roles and headers to the chat template.",
    bad='{"role": "user", "content": "<|im_start|>user\\nhey<|im_end|>"}',
    good='{"role": "user", "content": "hey"}',
)
ODD_CHARACTERS = Check(
    "data.odd_characters",
    ("warning", "info"),
    "Remains of a wrong encoding (U+FFFD, “â€™”), control characters, invisible ones; an info if there are only a few "
    "invisible ones.",
    cause="They come from a wrong encoding or a program, not from a person's keyboard, and the model learns to write them.",
    fix="Read the source as UTF-8, remove what nobody typed, then extract again.",
    bad='{"role": "assistant", "content": "canâ€™t make it"}',
    good='{"role": "assistant", "content": "can’t make it"}',
)
CHECKS = (CONTROL_TOKENS, ALREADY_TEMPLATED, ODD_CHARACTERS)

CONTROL_TOKEN, FOREIGN, TEMPLATED = "control token", "another model's token", "rendered turn"

# --- control tokens and templates -----------------------------------------------------------

SHAPE = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")  # how control tokens are written, nearly all of them
# Nobody types these. `<s>` only counts if the tokenizer has it: otherwise it may strike a word through.
WELL_KNOWN = re.compile(r"<\|[A-Za-z_]\w{1,40}\|>|<｜[^｜<>]{1,40}｜>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>")
# Somebody may type these once, to strike a word through or to end a joke, but not in many texts.
OTHER_MODELS = re.compile(
    r"</?s>|<(?:bos|eos|pad|unk|mask|sep|cls|eot|end_of_utterance|extra_id_\d+)>"
    r"|\[(?:BOS|EOS|PAD|UNK|MASK|SEP|CLS)\]|<turn\|>|<\|turn>",
    re.IGNORECASE,
)
MANY = 0.1  # of a split's rows
NAMED = re.compile(r"</?(?:think|tool_call|tool_response|start_of_turn|end_of_turn)>")  # where the vocabulary has them
RENDERED = re.compile(
    r"<\|im_start\|>\s{0,9}(?:system|user|assistant|tool)\b|<start_of_turn>\s{0,9}(?:user|model)\b"
    r"|<\|start_header_id\|>[^<>]{1,40}<\|end_header_id\|>|<<SYS>>"
    r"|<\|(?:system|user|assistant)\|>|<\|start\|>(?:system|developer|user|assistant)|<｜(?:User|Assistant)｜>"
    r"|^#{2,3} ?(?:Instruction|Input|Response|Human|Assistant|User|System):",
    re.MULTILINE,
)
TURNS = (("[INST]", "[/INST]"), ("USER: ", "ASSISTANT:"), ("HUMAN: ", "ASSISTANT:"), ("Human: ", "\nAssistant:"))
RESIDUE = ("system\n", "user\n"), ("\nassistant", "\nmodel")  # a prompt decoded without its tokens: start, end
QUICK = ("<|", "<｜", "<start_of", "<<SYS", "##")  # RENDERED needs one of them


def check(inputs: RunInputs, chats: dict, tokenizer) -> list[dict]:
    """Findings on characters. `tokenizer` may be None; then only well-known tokens are looked for."""
    tokens, header = control_tokens(tokenizer), turn_header(tokenizer)
    odd_shaped = [token for token in tokens if not SHAPE.fullmatch(token)]
    control, templated, odd, found = [], [], [], Counter()
    foreign = {}  # (split, token) -> hits
    clean = set()  # system texts recur in every row
    for name, rows in chats.items():
        for number, row in rows:
            places = {}
            for message in row["messages"]:
                text = message["content"]
                if text in clean:
                    continue
                here = _places(text, tokens, odd_shaped, header)
                if TEMPLATED in here and message["role"] == "assistant" and message is row["messages"][-1]:
                    _leave_to_speakers(here, text, header)
                if not here and message["role"] == "system" and len(clean) < 1000:
                    clean.add(text)
                for kind, place in here.items():
                    shown = f"{message['role']}: {around(text, *place)}"
                    token = text[slice(*place)]
                    if kind == FOREIGN:
                        foreign.setdefault((name, token), {}).setdefault(number, shown)
                    elif kind == CONTROL_TOKEN:
                        places.setdefault(kind, (shown, token in tokens))
                    else:
                        places.setdefault(kind, shown)
            if CONTROL_TOKEN in places:
                shown, encoded = places.pop(CONTROL_TOKEN)
                control.append((name, number, shown, encoded))
            if TEMPLATED in places:
                templated.append((name, number, places.pop(TEMPLATED)))
            if places:
                found.update(places.keys())
                odd.append((name, number, "; ".join(f"{kind}, {where}" for kind, where in places.items())))
    known = {(name, number) for name, number, *_ in control}
    for (name, _), hits in foreign.items():
        if len(hits) >= 3 and len(hits) > MANY * len(chats[name]):
            control += [(name, at, shown, False) for at, shown in hits.items() if (name, at) not in known]
            known.update((name, at) for at in hits)
    control.sort(key=lambda hit: (list(chats).index(hit[0]), hit[1]))
    foreign_cause = (
        "A tokenizer that has them begins and ends turns there; with any other, the model learns to write them."
    )
    if tokenizer is not None:
        foreign_cause = (
            "This tokenizer doesn't have them and encodes them as plain text: the model learns to write them."
        )
    return [
        *in_rows(
            inputs,
            CONTROL_TOKENS,
            "error",
            [hit[:3] for hit in control if hit[3]],
            "with control tokens inside a message",
        ),
        *in_rows(
            inputs,
            CONTROL_TOKENS,
            "error",
            [hit[:3] for hit in control if not hit[3]],
            "with another model's control tokens inside a message",
            cause=foreign_cause,
        ),
        *in_rows(inputs, ALREADY_TEMPLATED, "error", templated, "with an already rendered turn inside a message"),
        *_odd(inputs, sum(map(len, chats.values())), found, odd),
    ]


def _places(text: str, tokens: set[str], odd_shaped: list[str], header: str | None) -> dict[str, tuple[int, int]]:
    """Kind of fault -> its first place in a text."""
    found = {}
    if ("<" in text or "[" in text or odd_shaped) and (place := _control(text, tokens, odd_shaped)):
        found[CONTROL_TOKEN] = place
    elif ("<" in text or "[" in text) and (match := OTHER_MODELS.search(text)):
        found[FOREIGN] = match.span()
    if place := _rendered(text, header):
        found[TEMPLATED] = place
    # Nearly all texts are plain: a quick test first.
    if not (text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()):
        if visible(text):  # else it is an empty text
            found |= odd_characters(text)
    return found


def _leave_to_speakers(found: dict, text: str, header: str | None) -> None:
    """A reply that only begins with a header names its speaker (data.speaker_tag); it has no whole turn."""
    if start := HEADER.match(text):
        found.pop(TEMPLATED)
        if place := _rendered(text[start.end() :], header):
            found[TEMPLATED] = (place[0] + start.end(), place[1] + start.end())


def control_tokens(tokenizer) -> set[str]:
    """The texts that this tokenizer encodes as control tokens."""
    fast = getattr(tokenizer, "_tokenizer", tokenizer)
    added = (getattr(fast, "added_tokens_decoder", None) or {}).values()
    found = {str(token) for token in added if token.special or NAMED.fullmatch(str(token))}
    return {token for token in found if len(token.strip()) > 2}


def turn_header(tokenizer) -> str | None:
    """What the chat template writes between a user's text and the reply, if it is long enough to recognize."""
    try:
        messages = [{"role": "user", "content": "(one)"}, {"role": "assistant", "content": "(two)"}]
        text = chat_format.template_text(messages, tokenizer)
        header = text.partition("(one)")[2].partition("(two)")[0].strip()
    except Exception:  # no tokenizer or no template; another check reports one that rejects
        return None
    return header if len(header) > 4 else None


def _control(text: str, tokens: set[str], odd_shaped: list[str]) -> tuple[int, int] | None:
    for match in SHAPE.finditer(text):
        if match[0] in tokens:
            return match.span()
    if match := WELL_KNOWN.search(text):
        return match.span()
    # Somebody may write about <think>; a block of it is a model's.
    if (at := text.find("<think>")) >= 0 and (not text[:at].strip() or "</think>" in text):
        return at, at + len("<think>")
    if text.lstrip().startswith("</think>"):  # it began in the prompt
        return (at := text.index("</think>")), at + len("</think>")
    token = next((token for token in odd_shaped if token in text), None)
    return None if token is None else (text.index(token), text.index(token) + len(token))


def _rendered(text: str, header: str | None) -> tuple[int, int] | None:
    if header and (at := text.find(header)) >= 0:
        return at, at + len(header)
    if any(sign in text for sign in QUICK) and (match := RENDERED.search(text)):
        return match.span()
    start, end = RESIDUE
    if text.startswith(start, len(text) - len(text.lstrip())) and text.rstrip().endswith(end):
        return 0, text.index("\n")
    for first, second in TURNS:
        if 0 <= (at := text.find(first)) < text.rfind(second):
            return at, at + len(first)
    return None


# --- invisible texts -------------------------------------------------------------------------

HIDDEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}
# Blank although in other categories: fillers, variation selectors, and the placeholder of a lost attachment.
FILLERS = set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc")
FILLERS.update(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))
PLAINLY = re.compile("[!-~]")


def visible(text: str) -> bool:
    """True if a text shows anything."""
    return bool(PLAINLY.search(text)) or any(
        character not in FILLERS and unicodedata.category(character) not in HIDDEN for character in text
    )


# --- odd characters -------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]")  # all but tab and line breaks
INVISIBLE = re.compile("[\u200b\u2060\ufeff\ufffc\u00ad]")
DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# Scripts that are written without spaces use U+200B between words; emoji come with invisible characters.
SPACELESS = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2190-\u2bff\u3000-\u9fff\U0001f000-\U0001faff]")
FEW_SHARE = 0.001  # of the rows: people paste an invisible character now and then


def _byte_as_read(byte: int) -> str:
    """The characters that a UTF-8 byte becomes when read as Windows-1252 or as Latin-1."""
    return re.escape("".join({bytes([byte]).decode("cp1252", "ignore"), chr(byte)}))


NEXT = "[" + "".join(map(_byte_as_read, range(0x80, 0xC0))) + "]"
# UTF-8 read as Windows-1252: “é” becomes “Ã©”, “’” becomes “â€™”, an emoji four characters after “ð”.
MISREAD = re.compile(f"(?:[\u00c2-\u00df]{NEXT}|[\u00e0-\u00ef]{NEXT}{{2}}|[\u00f0-\u00f4]{NEXT}{{3}})+")
MAC_MISREAD = re.compile("‚Ä[ôúùìîê¶¢òó]|√[©®ß†°¢§ºª∂±≥¥]")  # the same with Mac Roman
# The same for UTF-8 read with one of these; a byte that the encoding lacks is often dropped.
OTHER_CODECS = ("cp1251", "cp1250", "cp437", "cp850")
# An apostrophe, a dash or an ellipsis in those; GBK's double replacement character; and kana in Shift JIS.
MISREAD_SIGNS = re.compile("вЂ[\u2018-\u201d\u2122¦“”њќ]|ΓÇ[ÖÿÖªöô£¥Ü¼]|ÔÇ[ÖÿØ£ªöô┐]|锟斤拷|[縺繧繝].{1,3}[縺繧繝]")
UNLIKELY = re.compile("[\x80-\x9f\u0250-\u036f\u0460-\u048f\u0492-\u058f]")  # what the text cannot have meant


def _letters(codec: str, first: int, last: int) -> str:
    return "[" + re.escape(bytes(range(first, last)).decode(codec, "ignore")) + "]"


def _misread_in(codec: str) -> re.Pattern:
    """Two or more characters' UTF-8, read with this encoding."""
    two, three, four, rest = (
        _letters(codec, *bytes_) for bytes_ in ((0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5), (0x80, 0xC0))
    )
    return re.compile(f"(?:{two}{rest}|{three}{rest}{{2}}|{four}{rest}{{3}}){{2,}}")


MISREAD_IN = {codec: _misread_in(codec) for codec in OTHER_CODECS}
# Most texts have nothing like it, which a pattern without alternatives finds out faster.
LATIN_PAIR = re.compile(f"[\u00c2-\u00f4]{NEXT}")
PAIRS_IN = {codec: re.compile(_letters(codec, 0xC2, 0xF5) + _letters(codec, 0x80, 0xC0)) for codec in OTHER_CODECS}
SIGNS_OF_IT = "‚√ЂÇ锟縺繧繝"  # MAC_MISREAD and MISREAD_SIGNS need one of them
# After a capital letter these are punctuation: the Ã… of MANHÃ… is not damaged.
CLOSING = set("…‘’“”„‚‹›«»–—•¡¿\u00a0")


def odd_characters(text: str) -> dict[str, tuple[int, int]]:
    """Kind of odd character -> the first place of one in a text."""
    found = {}
    if (at := text.find("\ufffd")) >= 0:
        found["U+FFFD"] = (at, at + 1)
    if place := _misread(text):
        found["text in a wrong encoding"] = place
    elif match := CONTROL.search(text):
        found[f"U+{ord(match[0]):04X} (a control character)"] = match.span()
    for match in INVISIBLE.finditer(text):
        near = text[max(0, match.start() - 1) : match.end() + 1]
        if match[0] != "\u200b" or not SPACELESS.search(near):
            found[f"U+{ord(match[0]):04X} (invisible)"] = match.span()
            break
    if (match := DIRECTION.search(text)) and not RIGHT_TO_LEFT.search(text):
        found[f"U+{ord(match[0]):04X} (a direction mark)"] = match.span()
    return found


def _misread(text: str) -> tuple[int, int] | None:
    for match in MISREAD.finditer(text) if LATIN_PAIR.search(text) else ():
        if _is_misread(match[0], text[: match.start()]):
            return match.span()
    if any(sign in text for sign in SIGNS_OF_IT):
        if match := MAC_MISREAD.search(text) or MISREAD_SIGNS.search(text):
            return match.span()
    for codec, pattern in MISREAD_IN.items():
        if not PAIRS_IN[codec].search(text):
            continue
        for match in pattern.finditer(text):
            meant = match[0].encode(codec).decode("utf-8", "replace")
            # Two capitals with an accent may look like this: СІРІ.
            if not UNLIKELY.search(meant) and "\ufffd" not in meant and (len(meant) > 2 or not match[0].isalpha()):
                return match.span()
    return None


def _is_misread(run: str, before: str) -> bool:
    """Letters like Ã, â or é in front of punctuation are normal in several languages; these runs are not."""
    try:
        data = b"".join(_as_byte(character) for character in run)
        meant = data.decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return False
    lead, natural = run[0], all(character in CLOSING for character in run[1:])
    if len(meant) > 1 or len(data) == 4:
        return True
    if lead in "\u00c2\u00c3":  # Latin-1's letters and signs: the usual case
        return not (natural and before[-1:].isupper())
    if run.startswith("\u00e2€"):  # quotes and dashes
        return True
    return not natural and (lead in "\u00c4\u00c5" or len(data) == 3)


def _as_byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


def _odd(inputs: RunInputs, rows: int, found: Counter, odd: list) -> list[Finding]:
    damaged = any(not kind.endswith(("(invisible)", "(a direction mark)")) for kind in found)
    severity = "warning" if damaged or len(odd) > FEW_SHARE * rows else "info"
    kinds = ", ".join(f"{kind}: {count:,}" for kind, count in found.most_common(4))
    return in_rows(inputs, ODD_CHARACTERS, severity, odd, f"with odd characters ({kinds})")
