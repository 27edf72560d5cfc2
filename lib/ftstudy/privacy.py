"""What says who somebody is, or how to reach them, replaced in a messages table.

    masked, counts = mask(messages, people_of(messages, contacts, owner="Sam", me=("Alex Doe",)))

Phone numbers, e-mail addresses, links that carry a token or an invitation, street addresses, card
numbers and one-time codes become fixed placeholders. Known people become Person1, Person2, …; who
is not known by name is not guessed. The rest of a text stays as it is, byte for byte.
"""

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pandas
from phonenumbers import Leniency, PhoneNumberMatcher

from . import contacts as address_book
from .ordinary_words import ORDINARY, TITLES
from .sources import OWNER_SENDER, check

PLACEHOLDERS = {kind: f"[{kind}]" for kind in ("phone", "email", "link", "address", "card", "code")}
LEFT = "left: ordinary word"
NOBODY = ("unknown", "deleted")  # what readers write where there is no person
ROUNDS = 20  # no message that somebody typed takes more than three
WALL = "\ue000"  # stands for what is masked already, so that no pattern reaches across it

_MASKED = re.compile(r"\[(?:phone|email|link|address|card|code)\]")
_OURS = re.compile(r"(?:Person|group |automated )\d+")
_PSEUDONYM = re.compile(r"(?i)person\d+(?![\d@])")
# A text without any of these has nothing but names to mask.
_SUSPICIOUS = re.compile(r"[\d@]|://|[Ww]{3}\.|\.\w+[/?]")

# Links
_LINK = re.compile(
    rf"(?i)(?:\b[a-z][a-z0-9+.-]{{1,20}}://|\bwww\.)[^\s<>\"“”{WALL}]+"
    rf"|(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,5}}[a-z]{{2,24}}(?::\d+)?[/?][^\s<>\"“”{WALL}]*"
)
_LINK_PARTS = re.compile(r"(?s)(?:[^/?#]*?://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
# Where the path itself lets one in: meetings, invitations, somebody's number or place.
_INVITATION = re.compile(
    r"(?i)(?:[\w-]+\.)*(?:zoom\.us/(?:j|my|s|w)/|zoom\.com/j/|meet\.google\.com/|teams\.(?:microsoft|live)\.com/(?:l/)?meet"
    r"|webex\.com/meet/|whereby\.com/|meet\.jit\.si/|chat\.whatsapp\.com/|wa\.me/|t\.me/(?:\+|joinchat/)|signal\.group/"
    r"|discord\.gg/|discord\.com/invite/|maps\.app\.goo\.gl/|goo\.gl/maps/)[^/\s]"
)

_AUTOMATED = re.compile(
    r"(?i)\d{3,6}|automated \d+|urn:biz:\S+"
    r"|(?:[\w.+-]*[._+-])?(?:no|do[._-]?not)[._-]?reply[\w.+-]*@\S+|(?:mailer-daemon|notifications?|alerts?)@\S+"
)
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}?\.[^\W\d_]{2,24}(?![\w-]|\.\w)")

# Numbers
_CARDS = re.compile(r"(?<![\d.,])\d{3,}(?:[ -]\d{2,})*")
_CARD_STARTS = re.compile(r"\d+")
_IBAN = re.compile(r"(?<!\w)(?:[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}|[a-z]{2}\d{2}[a-z0-9]{11,30})(?!\w)")
_PHONE = re.compile(
    r"(?<![\w+.,:/$€£#-])(?:"
    r"\+(?:[ ().\-/\u00a0]{0,2}\d){8,15}"  # with its country's code
    r"|00[1-9](?:[ ()\-/]{0,2}\d){8,13}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d([ .-]))[2-9]\d\d(?:\1|[ .-])\d{4}"  # North America
    r"|[2-9]\d\d-\d{4}"
    r"|\(?0[1-9]\d{1,4}\)?(?:[ /-]{1,3}\d{2,8}){1,4}"  # Germany, Britain, Italy and others
    r"|0[1-9]\d{8,10}"
    r"|0[1-9]([ .-]?)\d\d(?:\2\d\d){3}"  # France
    r"|[679]\d\d \d\d\d? \d\d\d?(?: \d\d)?"  # Spain, Portugal
    r"|\(?[1-9]\d\)? ?9?\d{4}-\d{4}"  # Brazil
    r")(?![\w%€$£]|[.,:/-]\d| ?(?:€|\$|£|EUR|USD|GBP))"
)
# A number after one of these words names a thing, not a phone.
_ORDER = re.compile(
    r"(?i)(?:\b(?:order|invoice|tracking|ticket|booking|reservation|reference|ref|case|isbn|account|id|version"
    r"|bestell\w*|rechnung\w*|sendung\w*|auftrag\w*|commande|facture|pedido|factura|ordine|fattura|fatura)"
    r"(?:[ .]*(?:number|num|no|nr|id|code|n[°ºo]|número|numéro|numero))?|#)[\s:.#]*$"
)
_DATE = re.compile(r"(?:19|20)\d\d[-/. ]?[01]\d[-/. ]?[0-3]\d|[0-3]?\d[-/. ][01]?\d[-/. ](?:19|20)\d\d")

# Street addresses
_UNIT = (
    r"(?![ \u00a0]?(?:min|minut\w*|hours?|hrs?|h|stunden?|heures?|horas?|ore|uhr|am|pm|a\.m|p\.m|km|k|m|meters?|metros?|mètres?"
    r"|miles?|mi|euros?|eur|dollars?|bucks|usd|people|personas?|personnes?|times|days?|tage?|jours|días|dias|giorni"
    r"|weeks?|years?|jahre?|%|€|\$|£|:\d|,\d|\.\d)(?!\w))"
)
_SMALL = (
    r"(?:a|an|and|am|are|as|at|be|blocks?|by|cars?|days?|dollars?|down|feet|for|from|ft|good|guys|half|hours?|hrs?|houses?"
    r"|in|into|is|kids?|km|lanes?|long|lot|men|meters?|miles?|mins?|mph|kmh|minutes?|months?|more|my|new|next|nice|of|off|old|on"
    r"|or|other|our|out|over|people|pm|points?|stars?|steps?|stops?|than|that|the|their|this|times|to|up|was|way|we|weeks?"
    r"|were|with|years?|your|best|dirt|side|different|big|small|hour|minute|min|star|point|lane|block|mile|day|week)"
)
_STREET = r"(?:street|avenue|ave|road|rd|boulevard|blvd|lane|ln|parkway|pkwy|highway|hwy|crescent)"
_PLACE = (
    r"(?:St|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way|Circle|Cir|Close|Row|Mews|Gardens|Grove|Hill|Walk)"
)
_DIRECTION = r"(?:[NSEW]|[NS][EW]|North|South|East|West)\.?"
_ADDRESSES = [
    re.compile(
        rf"(?<![\w.,:/$€£-])\d{{1,5}}(?:[a-zA-Z]|-\d{{1,4}})?,? (?:(?i:{_DIRECTION}) )?(?:"
        rf"(?:(?!(?i:{_SMALL})\b)[^\W\d_][\w'’-]{{1,20}}\.? |\d{{1,3}}(?:st|nd|rd|th) ){{1,3}}?(?i:{_STREET}|st)"
        rf"|(?:(?!(?i:{_SMALL})\b)[A-ZÀ-Þ][\w'’-]{{1,20}}\.? ){{1,3}}?{_PLACE})\b(?! (?:trips?|works?|side|rage|maps?|food|art)\b)"
        rf"(?:\.(?= [NS]))?(?: (?i:{_DIRECTION})(?!\w))?(?:,? (?i:apt|apartment|unit|suite|ste|floor|#)\.? ?\w{{1,5}}\b)?"
        r"(?:, [A-Z][\w .]{2,30}, [A-Z]{2} \d{5}(?!\d))?"
    ),
    re.compile(
        r"(?i)(?<![\w-])(?:(?!(?:arbeits|park|sitz|steh|lager|spiel|heim|rück|hin|um|schul|aus|an)(?:platz|weg))"
        r"[^\W\d_][\w-]{2,30}(?:straße|strasse|str\.|weg|gasse|allee|platz|damm|ufer|chaussee)"
        r"|(?-i:[A-ZÄÖÜ][\w-]{2,20} (?:Straße|Strasse|Str\.|Weg|Gasse|Allee|Platz|Damm|Ufer)))"
        rf" ?\d{{1,4}}(?!\d)(?: ?[a-h])?(?!\w){_UNIT}(?-i:, ?\d{{5}} [A-ZÄÖÜ][\w-]{{2,30}})?"
    ),
    re.compile(
        r"(?<![\w.,:/$€£-])\d{1,4}(?: ?(?:bis|ter))?,? (?i:(?:rue|avenue|av\.|boulevard|bd\.?|impasse|chemin|quai|allée)"
        r" (?:de la |de l[’']|du |des |de |d[’'])?[^\W\d_][\w’'-]{1,20}"
        r"|place (?:de la |de l[’']|du |des |de |d[’'])?(?-i:[A-ZÀ-Þ])[\w’'-]{1,20})(?: [A-ZÀ-Þ][\w’'-]{1,20}){0,3}"
    ),
    re.compile(
        r"(?<![\w-])(?i:calle|c/|avenida|avda\.?|av\.|plaza|paseo|carrer|rua|travessa|praça|alameda|estrada"
        r"|via|viale|piazza|corso|vicolo) ?(?!(?i:venmo|zoom|paypal|bizum|zelle|teams|skype|whatsapp|email|e-mail)\b)"
        r"(?:(?i:de la|de los|de las|del|della|dei|di|de|da|do|dos|das|d’|d') ?)?"
        r"(?:[A-ZÀ-Þ][\w’'-]{1,20}(?: (?:(?:de|da|do|del|di|y|e) )?[A-ZÀ-Þ][\w’'-]{1,20}){0,3}"
        rf",? (?:n[º°.] ?)?\d{{1,5}}(?!\d)(?:[a-zA-Z](?!\w))?(?!\w){_UNIT}"
        # In small letters, only where the number ends the phrase: “la calle tiene 5 casas”.
        r"|(?!(?:a|en|con|tiene|hay|hace|las|los|y|que|mail|train|bus)\b)[a-zà-ÿ][\w’'-]{2,20}(?: [a-zà-ÿ][\w’'-]{2,20})?"
        r",? \d{1,5}(?=[.,;!?)]*(?:\s*$|\n)))"
    ),
]

# One-time codes
_DIGITS = (
    r"(?<![\w.,:/$€£#+-])(?:[A-Z]{1,3}-\d{4,8}|\d{3}[- ]\d{3}|\d{4,8})(?![\w%€$£]|[.,:/-]\d| ?(?:€|\$|£|EUR|USD|GBP))"
)
_CODE = re.compile(_DIGITS)
_BARE = r"(?:code|codes|pin|pincode|tan|mtan|kode|código|codigo|codice|kennwort|passwort|password|clave|senha)"
# These words are about one-time codes and nothing else.
_ONE_TIME = re.compile(
    r"(?i)\b(?:(?:verification|security|confirmation|authentication|authori[sz]ation|activation|login|log-in|sign-?in"
    r"|access|one[- ]time|single[- ]use|2fa|two[- ]factor|2-step)(?: \w+)? (?:pass)?(?:code|pin|password)|passcode|otp|2fa"
    r"|(?:bestätigungs|sicherheits|verifizierungs|verifikations|anmelde|einmal|zugangs|aktivierungs)-?(?:code|pin|passwort)"
    r"|m?tan(?=:| lautet)"
    r"|code (?:de |d[’'])(?:vérification|sécurité|confirmation|connexion|validation|activation)|code à usage unique"
    r"|(?:código|codigo|clave|senha) (?:de |único )?(?:verificaci[óo]n|verificaç[ãa]o|seguridad|segurança|confirmaci[óo]n"
    r"|confirmação|acceso|acesso|activaci[óo]n|ativação|un solo uso|de uso único|único)"
    r"|codice (?:di )?(?:verifica|sicurezza|conferma|accesso|attivazione|otp|monouso))\b"
)
# Not every code opens something.
_OTHER_CODE = re.compile(
    r"(?i)\b(?:zip|area|dress|error|exit|status|http|post|postal|country|source|colou?r|promo|discount|coupon|tax|bar|qr"
    r"|dialing|dialling|penal|civil|morse|fehler|vor|post\w*|rabatt\w*|gutschein\w*|of)[ -]?$"
)
_IS = r"(?:is|ist|lautet|est|es|è|é)"
_SAID_CODE = re.compile(
    rf"(?i)\b{_BARE}\b(?! (?:postale?|de [áa]rea|promo\w*|source)\b)"
    rf"(?:(?:[ \t]+[^\s\d]+){{0,5}}?[ \t]+{_IS}(?:[ \t]+(?:still|now|noch))?[ \t]*:?\s*|\s?[:=]\s*|[ \t]+(?!(?:19|20)\d\d\b))"
    rf"(?P<digits>{_DIGITS})(?! ?(?:lines?|zeilen|lignes|líneas|characters|words|bytes)\b)"
)


def _yours(digits: str) -> re.Pattern:
    """“Your Uber code is 1234”, “1234 ist dein Code”: somebody is sent theirs."""
    whose = r"(?:your|dein|ihr|votre|ton|tu|su|il tuo|il suo|seu|teu)"
    words = rf"\b{whose}(?:[ -](?!(?:zip|area|post|postal|promo)\b)[\w.]+){{0,3}}?[ -]{_BARE}\b"
    return re.compile(
        rf"(?i){words}\s*(?:{_IS}\b)?\s?:?\s*(?P<after>{digits})"
        rf"|(?P<before>{digits}) (?:{_IS}|as|als|como|come|comme) {words}"
    )


_YOUR_CODE = _yours(_DIGITS)
_SENT_CODE, _SENT_YOUR_CODE = re.compile(rf"{_DIGITS}|\[code\]"), _yours(rf"(?:{_DIGITS}|\[code\])")
_NEAR = 100  # characters between a one-time code and the words for it

# Names. In these scripts no space stands between words, or particles join them.
_RUNNING = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0d7f"
_WORD = re.compile(rf"[^\W_{_RUNNING}]+(?:[{_MARKS}]+[^\W_{_RUNNING}]*)*")
_RUN = re.compile(rf"[{_RUNNING}]+")
_GAP = re.compile(r"[ \t\u00a0.'’-]{1,3}")
_UNSEEN = ' \t\u00a0\ufeff\ufe0f"“”„«»¿¡*_~' + "".join(map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F)]))
_UNSEEN += "".join(map(chr, range(0x2060, 0x206A)))


def people_of(
    messages: pandas.DataFrame, contacts: Iterable[dict] = (), owner: str = "", me: Iterable[str] = ()
) -> list[dict]:
    """The known people of a messages table, as `mask` takes them: the owner, the senders, the contacts.

    Every name in `me` is replaced by `owner`, the name that the prompts use, which itself stays.
    """
    fixed = {"pseudonym": owner} if owner else {}
    people = {name: {**_named(name), **fixed} for name in (*((owner,) if owner else ()), *me)}
    for contact in address_book.distinct(messages, list(contacts)):
        people.setdefault(contact["name"], contact)
    alone = messages.loc[~messages["is_group"], "conversation"]
    for name in dict.fromkeys([*messages["sender"].unique(), *alone.unique()]):
        if name not in (OWNER_SENDER, *NOBODY) and not _is_address(name):
            people.setdefault(name, _named(name))
    return list(people.values())


def _named(name: str) -> dict:
    return {"name": name, "given": "", "family": "", "nicknames": []}


def _is_address(name: str) -> bool:
    return (
        bool(address_book.plain(name))
        or is_automated_sender(name)
        or bool(re.match(r"(?:group|chat|urn|tel|mailto|sms):", name))
    )


def mask(messages: pandas.DataFrame, names: list[dict], region: str = "US") -> tuple[pandas.DataFrame, dict]:
    """A masked copy of the messages table, and how many spans of each kind were masked in its texts.

    `names`: see `people_of`; `pseudonym` in one of them is what replaces that person. `region`:
    the country, in two letters, whose phone numbers may stand without their country's code.
    The counts also say how often a name was left alone because it is an ordinary word.
    """
    known = lookup(names)
    chats, senders = _columns(messages, known)
    one_to_one = ~messages["is_group"]
    by_name = known["by_name"]
    partners = [by_name.get(name) if alone else None for name, alone in zip(messages["conversation"], one_to_one)]
    counts, texts = Counter(), []
    for text, partner in zip(messages["text"], partners):
        spans, left = _spans(text, known, partner, region)
        for _, _, kind, _ in spans:
            counts[kind] += 1
        if left:
            counts[LEFT] += left
        texts.append(replace(text, spans) if spans else text)
    masked = messages.assign(
        conversation=pandas.Series(chats, index=messages.index, dtype=object),
        sender=pandas.Series(senders, index=messages.index, dtype=object),
        text=pandas.Series(texts, index=messages.index, dtype=object),
        **_ids(messages, known),
    )
    skipped = messages.attrs.get("skipped", {})
    masked.attrs = messages.attrs | {
        "skipped": {
            reason: entry | {"examples": [replace(one, find(one, known, None, region)) for one in entry["examples"]]}
            for reason, entry in skipped.items()
        }
    }
    return check(masked), dict(counts)


def replace(text: str, spans: list[tuple]) -> str:
    """The text with each of its spans (of `find`) replaced."""
    pieces, last = [], 0
    for start, end, _, replacement in spans:
        pieces += [text[last:start], replacement]
        last = end
    return "".join([*pieces, text[last:]])


def _columns(messages: pandas.DataFrame, known: dict) -> tuple[list[str], list[str]]:
    """Conversations and senders under their pseudonyms, numbered as they appear."""
    groups = messages.loc[messages["is_group"], "conversation"].unique()
    known["taken"] |= set(filter(_OURS.fullmatch, groups))
    group_of = {name: name if name in known["taken"] else _new("group ", known) for name in groups}
    pairs = dict.fromkeys(zip(messages["conversation"], messages["is_group"], messages["sender"]))
    names = dict.fromkeys(
        one for chat, is_group, sender in pairs for one in ((sender,) if is_group else (chat, sender))
    )
    known["taken"] |= {name for name in names if _OURS.fullmatch(name)}
    shown = {name: _shown(name, known) for name in names}
    chats = [
        group_of[name] if is_group else shown[name]
        for name, is_group in zip(messages["conversation"], messages["is_group"])
    ]
    return chats, [shown[name] for name in messages["sender"]]


def _shown(name: str, known: dict) -> str:
    if name in (OWNER_SENDER, *NOBODY) or name in known["taken"]:
        return name
    if is_automated_sender(name):
        return _new("automated ", known)
    if name not in known["by_name"]:  # an address, or somebody who is not among the names
        known["by_name"][name] = len(known["people"])
        known["people"].append(_named(name))
    return _pseudonym(known["by_name"][name], known)


def _new(prefix: str, known: dict) -> str:
    while True:
        known["numbers"][prefix] += 1
        name = f"{prefix}{known['numbers'][prefix]}"
        if name not in known["taken"]:
            return name


def _pseudonym(person: int, known: dict) -> str:
    if person not in known["pseudonyms"]:
        known["pseudonyms"][person] = known["people"][person].get("pseudonym") or _new("Person", known)
    return known["pseudonyms"][person]


def _ids(messages: pandas.DataFrame, known: dict) -> dict[str, pandas.Series]:
    """The ids, hashed where a name or an address stands in one.

    The hash is keyed with the history itself: a phone number's own could be found by trying all.
    """
    everyone = {*messages["sender"].unique(), *messages["conversation"].unique()}
    everyone |= {address for person in known["people"] for address in person.get("addresses", ())}
    numbers = {re.sub(r"\D", "", one) for one in everyone if address_book.plain(one)}
    numbers = {one for one in numbers if len(one) > address_book.SHORT_CODE}
    whole = {one for one in everyone - {OWNER_SENDER, *NOBODY} if not _OURS.fullmatch(one)}

    def tells(one: str) -> bool:
        if re.search(r"\w@\w", one) or not numbers.isdisjoint(re.findall(r"\d{7,}", one)):
            return True
        if any(part in whole for part in re.split(r"[:|/#]", one)):
            return True
        return any(len(one[start:end]) > 2 for start, end, kind, *_ in _names(one, known, None, [0]))

    telling = {one for column in ("message_id", "reply_to") for one in messages[column] if one and tells(one)}
    if not telling:
        return {}
    key = hashlib.blake2b(digest_size=32)
    for one in (*messages["message_id"], *messages["text"]):
        key.update(one.encode("utf-8", "surrogatepass"))
    key = key.digest()
    hashed = {
        one: hashlib.blake2b(one.encode("utf-8", "surrogatepass"), key=key, digest_size=12).hexdigest()
        for one in telling
    }
    return {
        column: pandas.Series([hashed.get(one, one) for one in messages[column]], index=messages.index, dtype=object)
        for column in ("message_id", "reply_to")
    }


# --- what is to be masked in one text


def lookup(names: Iterable[dict]) -> dict:
    """The people's names, prepared for `find`, which gives them their pseudonyms as it meets them."""
    people = list(names)
    known = {
        "people": people,
        "by_name": {},  # name -> person, a place in `people`
        "forms": {},  # first word -> {all words: its people, only with a capital?, letters to cut off}
        "genitives": {},  # “annas” -> the form it comes from
        "runs": {},  # a name in a script without spaces -> persons
        "pseudonyms": {},
        "numbers": Counter(),
        "taken": set(),
    }
    for place, person in enumerate(people):
        known["by_name"].setdefault(person["name"], place)
    # The owner first: a bare “sam” is the one whose pseudonym is Sam.
    for place, person in sorted(enumerate(people), key=lambda item: not item[1].get("pseudonym")):
        for form, capitalised, is_given in _forms(person):
            _add(known, form, place, capitalised, is_given)
    for word, form in known.pop("genitives").items():
        known["forms"].setdefault(word, {}).setdefault((word,), form | {"cut": 1})
    for word, forms in known["forms"].items():
        known["forms"][word] = {words: forms[words] for words in sorted(forms, key=len, reverse=True)}
    known["lengths"] = sorted({len(run) for run in known["runs"]}, reverse=True)
    return known


def _forms(person: dict) -> Iterator[tuple[str, bool, bool]]:
    """The ways to write a person's name: the form, whether only with a capital, whether a given name."""
    given, family = person.get("given", ""), person.get("family", "")
    name = re.sub(r" \(\d+\)$", "", person["name"])
    yield name, False, False
    yield person.get("pseudonym", ""), False, False
    yield f"{given} {family}", False, False
    yield family, False, False
    yield given, False, True
    yield given.split()[0] if given else "", False, True
    for nickname in person.get("nicknames", ()):
        yield nickname, False, True
    if given or family:
        return
    words = [word for word in name.split() if _WORD.search(word) or _RUN.search(word)]
    after_title = next((place for place, word in enumerate(words) if _bare(word) not in TITLES), len(words))
    for word in words[after_title : after_title + 1]:
        if _bare(word) not in ORDINARY or len(words) == 1:
            yield word, False, after_title == 0
    # Its last word is a surname, or where somebody was met.
    if len(words) > after_title + 1 and _bare(words[-1]) not in ORDINARY:
        yield words[-1], True, False
        yield f"{words[after_title]} {words[-1]}", False, False


def _bare(word: str) -> str:
    return " ".join(_key(match.group()) for match in _WORD.finditer(word))


def _add(known: dict, form: str, person: int, capitalised: bool, is_given: bool) -> None:
    words = tuple(_key(match.group()) for match in _WORD.finditer(form))
    runs = _RUN.findall(form)
    if runs and not words:
        for run in {"".join(runs), " ".join(runs)}:
            if len(run) > 1 and person not in known["runs"].setdefault(run, []):
                known["runs"][run].append(person)
    if not words or runs or (len(words) == 1 and (len(words[0]) < 2 or words[0].isdigit())):
        return
    capitalised = capitalised or (len(words) == 1 and words[0] in ORDINARY)
    forms = known["forms"].setdefault(words[0], {})
    form = forms.setdefault(words, {"people": [], "only capitalised": True, "cut": 0})
    form["only capitalised"] &= capitalised
    if person not in form["people"]:
        form["people"].append(person)
    if is_given and len(words) == 1 and not capitalised and len(words[0]) > 3 and words[0][-1] not in "sxzß":
        known["genitives"].setdefault(words[0] + "s", form)


def _key(word: str) -> str:
    return word.casefold() if word.isascii() else unicodedata.normalize("NFC", word.casefold())


UNKNOWN = lookup(())


def find(text: str, known: dict = UNKNOWN, partner: int | None = None, region: str = "US") -> list[tuple]:
    """What to mask in a text: (start, end, kind, replacement), in order, without overlaps.

    `known`: of `lookup`. `partner`: the place in `known["people"]` of whom a one-to-one chat is
    with. A name that several people share is the partner's, else the first one's.
    """
    return _spans(text, known, partner, region)[0]


def _spans(text: str, known: dict, partner: int | None, region: str) -> tuple[list[tuple], int]:
    suspicious = _SUSPICIOUS.search(text)
    if not suspicious and not _may_name(text, known):
        return [], 0
    spans = [(*match.span(), "", "") for pattern in (_MASKED, _PSEUDONYM) for match in pattern.finditer(text)]
    spans.sort()
    left = [0]
    finders = [_links, _emails, _cards, lambda view: _phones(view, region), _addresses, _codes] if suspicious else []
    finders.append(lambda view: _names(view, known, partner, left))
    # Again until nothing is found: what is masked may leave something beside it that is now seen.
    for _ in range(ROUNDS):
        before = len(spans)
        left[0] = 0
        for finder in finders:
            view, back = _view(text, spans)
            found = [(back(start), back(end - 1) + 1, kind, new) for start, end, kind, new in _apart(finder(view))]
            if found:
                spans = sorted([*spans, *found])
        if len(spans) == before:
            break
    return [span for span in spans if span[2]], left[0]


def _apart(spans: Iterable[tuple]) -> Iterator[tuple]:
    """Of spans that overlap, the one that begins first, and of those the longest."""
    last = 0
    for start, end, *rest in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= last:
            last = end
            yield start, end, *rest


def _view(text: str, spans: list[tuple]):
    """The text with a wall for each span, and what leads from a place in it back into the text."""
    if not spans:
        return text, lambda place: place
    pieces, seen, places, last, length = [], [0], [0], 0, 0
    for start, end, *_ in spans:
        pieces += [text[last:start], WALL]
        length += start - last + 1
        seen.append(length)
        places.append(end)
        last = end

    def back(place: int) -> int:
        piece = bisect_right(seen, place) - 1
        return places[piece] + place - seen[piece]

    return "".join([*pieces, text[last:]]), back


def _links(text: str) -> Iterator[tuple]:
    for match in _LINK.finditer(text):
        link = _without_punctuation(match.group())
        if _is_private(link):
            yield match.start(), match.start() + len(link), "link", PLACEHOLDERS["link"]


def _without_punctuation(link: str) -> str:
    while link and link[-1] in ".,;:!?'’»*_~)]}…":
        bare = link.rstrip(".,;:!?'’»*_~…")
        if bare == link:
            closing = link[-1]
            opening = {")": "(", "]": "[", "}": "{"}[closing]
            extra = link.count(closing) - link.count(opening)
            if extra <= 0:
                return link
            kept = link.rstrip(closing)
            bare = kept + closing * max(0, len(link) - len(kept) - extra)
            if bare == link:
                return link
        link = bare
    return link


def _is_private(link: str) -> bool:
    host, path, query, fragment = _LINK_PARTS.fullmatch(link).groups(default="")
    if "@" in host or _INVITATION.match(f"{host}{path}{'/#' + fragment if fragment else ''}".removeprefix("www.")):
        return True
    if re.search(r"=.", query) or re.search(r"=.", fragment):
        return True
    return any(_is_random(part) for part in (*path.split("/"), query, *fragment.split("/")))


def _is_random(part: str) -> bool:
    """Like a key: long, with letters and digits in turns; or a long number."""
    part = re.sub(r"%[0-9a-fA-F]{2}", "", part)
    turns = len(re.findall(r"(?<=[a-zA-Z])\d|(?<=\d)[a-zA-Z]", part))
    return (len(part) >= 16 and turns >= 3) or bool(re.fullmatch(r"\d{9,}", part))


def _emails(text: str) -> Iterator[tuple]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield *match.span(), "email", PLACEHOLDERS["email"]


def _cards(text: str) -> Iterator[tuple]:
    for numbers in _CARDS.finditer(text):  # several may follow one another
        end = 0
        for group in _CARD_STARTS.finditer(text, *numbers.span()):
            if group.start() >= end and (found := _longest(text, group.start(), numbers.end(), 37, _is_card)):
                end = found
                yield group.start(), end, "card", PLACEHOLDERS["card"]
    for match in _IBAN.finditer(text):
        if found := _longest(text, *match.span(), 42, _is_iban):
            yield match.start(), found, "card", PLACEHOLDERS["card"]


def _longest(text: str, start: int, end: int, most: int, is_valid) -> int:
    """Where the longest valid number ends that starts here and ends with a group; 0 where there is none."""
    ends = (n for n in range(min(end, start + most), start + 12, -1) if text[n - 1].isalnum())
    whole = (n for n in ends if not text[n : n + 1].isalnum())
    return next((n for n in whole if is_valid(re.sub("[ -]", "", text[start:n]))), 0)


def _is_card(digits: str) -> bool:
    """By Luhn's sum; not a book's number, nor one digit over and over."""
    if (
        not 13 <= len(digits) <= 19
        or len(set(digits)) == 1
        or set(digits) <= set("01")
        or (len(digits) == 13 and digits[:3] in ("978", "979"))
    ):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def _is_iban(iban: str) -> bool:
    return (
        15 <= len(iban) <= 34
        and iban.isascii()
        and int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1
    )


def _phones(text: str, region: str) -> Iterator[tuple]:
    if len(re.findall(r"\d", text)) < 7:
        return
    for start, end in (*_own_phones(text), *_library_phones(text, region)):
        if not _ORDER.search(text[max(0, start - 40) : start]):
            yield start, end, "phone", PLACEHOLDERS["phone"]


def _own_phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        number = match.group()
        digits = re.sub(r"\D", "", number)
        local = re.fullmatch(r"\d{3}-\d{4}", number)
        if (
            not (9 <= len(digits) <= 15 or local)
            or _DATE.match(number)
            or digits.endswith("00000")
            or set(digits) <= set("01")
        ):
            continue
        yield match.span()


def _library_phones(text: str, region: str) -> Iterator[tuple[int, int]]:
    # Only around the digits, because the library's time grows with the text; columns of numbers are no phones.
    for piece in re.finditer(r"[+(]?\d(?:[ \t\u00a0().\-/+]{0,4}\d){6,}", text):
        if piece.end() - piece.start() > 60:
            continue
        start = max(0, piece.start() - 8)
        for match in PhoneNumberMatcher(text[start : piece.end() + 8], region, leniency=Leniency.VALID, max_tries=20):
            if not _DATE.search(match.raw_string):
                yield start + match.start, start + match.end


def _addresses(text: str) -> Iterator[tuple]:
    for pattern in _ADDRESSES:
        for match in pattern.finditer(text):
            yield *match.span(), "address", PLACEHOLDERS["address"]


def _codes(text: str) -> Iterator[tuple]:
    for start, end in (*_one_time(text, _CODE), *_your(text, _YOUR_CODE), *_said(text)):
        yield start, end, "code", PLACEHOLDERS["code"]


def _one_time(text: str, digits: re.Pattern) -> Iterator[tuple[int, int]]:
    """Digits near words that are about one-time codes."""
    words = [match.span() for match in _ONE_TIME.finditer(text)]
    starts = [start for start, _ in words]
    for match in digits.finditer(text) if words else ():
        after = bisect_right(starts, match.start())
        behind = after > 0 and match.start() - words[after - 1][1] <= _NEAR
        ahead = after < len(words) and words[after][0] - match.end() <= _NEAR
        if behind or ahead:
            yield match.span()


def _your(text: str, pattern: re.Pattern) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        yield match.span("after" if match["after"] else "before")


def _said(text: str) -> Iterator[tuple[int, int]]:
    """The digits that somebody calls a code: “the door code is 4821”."""
    for match in _SAID_CODE.finditer(text):
        if not _OTHER_CODE.search(text[max(0, match.start() - 25) : match.start()]):
            yield match.span("digits")


def _may_name(text: str, known: dict) -> bool:
    words = _WORD.findall(text.casefold()) if text.isascii() else map(_key, _WORD.findall(text))
    if known["forms"] and not known["forms"].keys().isdisjoint(words):
        return True
    return bool(known["runs"]) and bool(_RUN.search(text))


def _names(text: str, known: dict, partner: int | None, left: list[int]) -> Iterator[tuple]:
    """The known names; how many ordinary words were left alone is added to `left`."""
    forms = known["forms"]
    words = list(_WORD.finditer(text)) if forms else []
    keys = [_key(word.group()) for word in words]
    place = 0
    while place < len(words):
        found = next((form for form in forms.get(keys[place], ()) if _stands(form, text, words, keys, place)), None)
        if found is None:
            place += 1
            continue
        form = forms[keys[place]][found]
        start, end = words[place].start(), words[place + len(found) - 1].end() - form["cut"]
        place += len(found)
        if form["only capitalised"] and not _is_meant(text, start, end):
            left[0] += 1
        else:
            yield _named_span(text, start, end, form["people"], known, partner)
    end = 0
    for run in _RUN.finditer(text) if known["runs"] else ():
        start = max(run.start(), end)
        while start < run.end():
            candidates = (text[start : start + length] for length in known["lengths"])
            name = next((one for one in candidates if one in known["runs"]), "")
            end = start + len(name)
            if name:
                yield _named_span(text, start, end, known["runs"][name], known, partner)
            start = end if name else start + 1


def _stands(form: tuple[str, ...], text: str, words: list[re.Match], keys: list[str], place: int) -> bool:
    if tuple(keys[place : place + len(form)]) != form:
        return False
    there = words[place : place + len(form)]
    return all(_GAP.fullmatch(text, one.end(), two.start()) for one, two in pairwise(there))


def _is_meant(text: str, start: int, end: int) -> bool:
    """Whether an ordinary word is a name here: it has a capital that no beginning of a sentence explains."""
    before = text[max(0, start - 40) : start].rstrip(_UNSEEN)
    if before.endswith("@"):
        return True
    word = text[start:end]
    if not word[0].isupper() or word[1:] != word[1:].lower():
        return False
    return bool(before) and (before[-1].isalnum() or before[-1] in f",;&/)'’{WALL}")


def _named_span(text: str, start: int, end: int, people: list[int], known: dict, partner: int | None) -> tuple:
    written = text[start:end]
    fixed = known["people"][people[0]].get("pseudonym", "")
    if fixed.casefold() == written.casefold():  # the owner, under the name that stays
        return start, end, "", written
    pseudonym = _pseudonym(partner if partner in people else people[0], known)
    if written.isupper() and len(written) > 1:
        pseudonym = pseudonym.upper()
    elif written.islower():
        pseudonym = pseudonym.lower()
    return start, end, "name", pseudonym


# --- what a message is, masked or not


def is_link_only(text: str) -> bool:
    """Nothing but links, as written or masked, and white space."""
    return bool(text.strip()) and all(one == "[link]" or _whole_link(one) for one in text.split())


def _whole_link(word: str) -> bool:
    return bool(_LINK.fullmatch(word)) or bool(re.fullmatch(r"(?i)(?:[a-z][a-z0-9+.-]{1,20}://|www\.)\S+", word))


def is_masked_only(text: str) -> bool:
    """Nothing but placeholders and white space."""
    return bool(_MASKED.search(text)) and not _MASKED.sub("", text).strip()


def is_code_message(text: str) -> bool:
    """A service sends a one-time code, as written or masked (en, de, fr, es, it, pt)."""
    return any(_one_time(text, _SENT_CODE)) or any(_your(text, _SENT_YOUR_CODE))


def is_automated_sender(name: str) -> bool:
    """A short code, an address such as no-reply@…, or the pseudonym of one. No word is guessed at."""
    return bool(_AUTOMATED.fullmatch(name.strip()))
