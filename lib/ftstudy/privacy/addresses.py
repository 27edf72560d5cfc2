"""Finds e-mail addresses and street addresses (en, de, fr, es, it, pt)."""

import re
from collections.abc import Iterator

_HOST = r"[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}?\.(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{1,59})(?![\w-]|\.\w)"
_EMAIL = re.compile(
    rf"(?:(?<!\w)\"[^\"\s@][^\"\n@]{{0,62}}\"|[\w+%](?:[\w.+%'&=!#$?^{{|}}/-]{{0,62}}[\w+%-])?\.{{0,3}})@{_HOST}"
)
_DOT, _TOP = "(?:dot|punkt)", r"(?:com|org|net|edu|eu|io|me|de|fr|es|it|pt|uk|at|ch)(?!\w)"
_MAIL = (
    r"(?:web|gmx|gmail|googlemail|hotmail|outlook|live|msn|yahoo|icloud|me|mac|aol|proton|protonmail|t-online|posteo"
    r"|mailbox|freenet|orange|laposte|libero|wanadoo|terra)"
)
# As people hide an address from robots.
_HIDDEN = re.compile(
    rf"(?i)\b[\w.+-]{{1,64}}(?: {_DOT} [\w+-]{{1,64}}){{0,3}} (?:at|ät) [\w-]{{1,63}}(?: {_DOT} [\w-]{{1,63}}){{0,3}}? {_DOT} {_TOP}"
    rf"|\b[\w.+-]{{1,64}}\((?:a|ä|ät)\)[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,3}}?\.{_TOP}"
    rf"|\b[\w.+-]{{1,64}}(?: @ ?|@ ){_MAIL}\.{_TOP}"
    r"|[\w.+-]{1,64} ?(?:\(at\)|\[at\]|\{at\}) ?[\w-]{1,63}(?:(?:\.| ?(?:\(dot\)|\[dot\]|\(punkt\)|\[punkt\]) ?)[\w-]{1,63}){1,8}(?!\w)"
)

# Before a house number, which is not part of an amount of money, a time or a longer number.
_ALONE = r"(?<![\w.,:/$€£-])"
_CAPITALIZED = r"[A-ZÀ-Þ][\w'’-]{1,20}"
# A number before one of these units is not a house number: “Rückweg 20 min”, “via Roma 10 km”.
_NO_UNIT = (
    r"(?![ \u00a0]?(?:min|minut\w*|hours?|hrs?|h|stunden?|heures?|horas?|ore|uhr|am|pm|a\.m|p\.m|km|k|m|meters?|metros?|mètres?"
    r"|miles?|mi|euros?|eur|dollars?|bucks|usd|people|personas?|personnes?|times|days?|tage?|jours|días|dias|giorni"
    r"|weeks?|years?|jahre?|%|€|\$|£|:\d|,\d|\.\d)(?!\w))"
)
# Words that can come between a number and “street” but are never part of a street's name.
_NO_SMALL_WORD = (
    r"(?!(?i:a|an|and|am|are|as|at|be|blocks?|by|cars?|days?|dollars?|down|feet|for|from|ft|good|guys|half|hours?|hrs?|houses?"
    r"|in|into|is|kids?|km|lanes?|long|lot|men|meters?|miles?|mins?|mph|kmh|minutes?|months?|more|my|new|next|nice|of|off|old|on"
    r"|or|other|our|out|over|people|pm|points?|stars?|steps?|stops?|than|that|the|their|this|times|to|up|was|way|we|weeks?"
    r"|were|with|years?|your|best|dirt|side|different|big|small)\b)"
)
_STREET = r"(?i:street|avenue|ave|road|rd|boulevard|blvd|lane|ln|parkway|pkwy|highway|hwy|crescent|st)"
# These are also ordinary words, so they and the name before them must be capitalized.
_PLACE = (
    r"(?:St|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way|Circle|Cir|Close|Row|Mews|Gardens|Grove|Hill|Walk)"
)
_DIRECTION = r"(?i:(?:[NSEW]|[NS][EW]|North|South|East|West)\.?)"
_OF_THE = r"(?:de la |de l[’']|du |des |de |d[’'])?"

_STREETS = [
    # 221B Baker Street, Apt 4; 350 W 42nd St; 123 Main St, Springfield, IL 62704
    re.compile(
        rf"{_ALONE}\d{{1,5}}(?:[a-zA-Z]|-\d{{1,4}})?,? (?:{_DIRECTION} )?(?:"
        rf"(?:{_NO_SMALL_WORD}[^\W\d_][\w'’-]{{1,20}}\.? |\d{{1,3}}(?:st|nd|rd|th) ){{1,3}}?{_STREET}"
        rf"|(?:{_NO_SMALL_WORD}{_CAPITALIZED}\.? ){{1,3}}?{_PLACE})\b(?! (?:trips?|works?|side|rage|maps?|food|art)\b)"
        rf"(?:\.(?= [NS]))?(?: {_DIRECTION}(?!\w))?(?:,? (?i:apt|apartment|unit|suite|ste|floor|#)\.? ?\w{{1,5}}\b)?"
        r"(?:, [A-Z][\w .]{2,30}, [A-Z]{2} \d{5}(?!\d))?"
    ),
    # Hauptstraße 12b; Lange Straße 5, 12345 Berlin
    re.compile(
        r"(?i)(?<![\w-])(?:(?!(?:arbeits|park|sitz|steh|lager|spiel|heim|rück|hin|um|schul|aus|an)(?:platz|weg))"
        r"[^\W\d_][\w-]{2,30}(?:straße|strasse|str\.|weg|gasse|allee|platz|damm|ufer|chaussee)"
        r"|(?-i:[A-ZÄÖÜ][\w-]{2,20} (?:Straße|Strasse|Str\.|Weg|Gasse|Allee|Platz|Damm|Ufer)))"
        rf" ?\d{{1,4}}(?!\d)(?: ?[a-h])?(?!\w){_NO_UNIT}(?-i:, ?\d{{5}} [A-ZÄÖÜ][\w-]{{2,30}})?"
    ),
    # Am Markt 7; An der alten Mühle 17; Unter den Linden 77; “am Markt 7” only where the number ends the phrase
    re.compile(
        r"(?<![\w-])(?:Am|Im|Zum|Zur|Beim|(?:An|Auf|Hinter|Vor|Bei|In|Unter|Zu) (?:der|den|dem)"
        r"|(?:am|im|zum|zur|beim|(?:an|auf|hinter|vor|bei|in|unter) (?:der|den|dem))(?= (?:\w{1,20} )?\w{1,30} \d{1,3}[a-h]?[.,;!?)]{0,3}\s{0,3}(?:\Z|\n)))"
        r" (?:[A-ZÄÖÜa-zäöü][a-zäöüß]{2,20} )?(?=[A-ZÄÖÜ])\w{0,20}(?i:markt|bach|berg|wald|park|hang|rain|see|bahnhof|anger|graben|tor|turm"
        r"|teich|feld|felde|garten|hof|mühle|kirche|brücke|mauer|linden?|eichen?|buchen|wiesen?|aue|höhe|heide|burg|schloss|hafen"
        rf"|kanal|friedhof|brunnen|weiher|acker|winkel|platz|weinberg|ufer) \d{{1,3}}(?!\d)(?: ?[a-h])?(?!\w){_NO_UNIT}(?! [A-ZÄÖÜ])"
    ),
    # Straße des 17. Juni 135; Platz der Republik 1
    re.compile(
        r"(?<![\w-])(?:Straße|Strasse|Str\.|Platz|Allee) (?:des|der) (?:\d{1,2}\. )?[A-ZÄÖÜ][\w-]{2,25}(?: [A-ZÄÖÜ][\w-]{2,25})?"
        rf" \d{{1,3}}(?!\d)(?: ?[a-h])?(?!\w){_NO_UNIT}"
    ),
    # rue de la Paix 10
    re.compile(
        rf"(?<![\w-])(?i:rue|avenue|boulevard|chaussée|quai|place|chemin) {_OF_THE}{_CAPITALIZED}(?: {_CAPITALIZED}){{0,3}}"
        rf",? \d{{1,3}}(?!\d)(?: ?(?:bis|ter))?(?!\w){_NO_UNIT}"
    ),
    # 12 bis rue Victor Hugo; 3 place de la République; not “3 place de parking”
    re.compile(
        rf"{_ALONE}\d{{1,4}}(?: ?(?:bis|ter))?,? "
        rf"(?i:(?:rue|avenue|av\.|boulevard|bd\.?|impasse|chemin|quai|allée) {_OF_THE}[^\W\d_][\w’'-]{{1,20}}"
        rf"|place {_OF_THE}(?-i:{_CAPITALIZED}))(?: {_CAPITALIZED}){{0,3}}"
    ),
    # Calle Mayor 5; Rua Augusta, 100; in lower case only if the number ends the phrase, because of
    # “la calle tiene 5 casas”
    re.compile(
        r"(?<![\w-])(?i:calle|c/|avenida|avda\.?|av\.|plaza|paseo|carrer|rua|travessa|praça|alameda|estrada"
        r"|via|viale|piazza|corso|vicolo) ?(?!(?i:venmo|zoom|paypal|bizum|zelle|teams|skype|whatsapp|email|e-mail)\b)"
        r"(?:(?i:de la|de los|de las|del|della|dei|di|de|da|do|dos|das|d’|d') ?)?"
        rf"(?:{_CAPITALIZED}(?: (?:(?:de|da|do|del|di|y|e) )?{_CAPITALIZED}){{0,3}}"
        rf",? (?:n[º°.] ?)?\d{{1,5}}(?!\d)(?:[a-zA-Z](?!\w))?(?!\w){_NO_UNIT}"
        r"|(?!(?:a|en|con|tiene|hay|hace|las|los|y|que|mail|train|bus)\b)[a-zà-ÿ][\w’'-]{2,20}(?: [a-zà-ÿ][\w’'-]{2,20})?"
        r",? \d{1,5}(?=[.,;!?)]*(?:\s*$|\n)))"
    ),
]


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))
    yield from (match.span() for match in _HIDDEN.finditer(text))


def find_streets(text: str) -> Iterator[tuple[int, int]]:
    """Yield streets with a house number, including a flat and a town that follow."""
    for pattern in _STREETS:
        yield from (match.span() for match in pattern.finditer(text))
