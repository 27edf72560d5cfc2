"""Finds one-time codes, PINs and passwords (en, de, fr, es, it, pt)."""

import re
from bisect import bisect_right
from collections.abc import Iterator

from .phones_and_cards import ALONE_AFTER, ALONE_BEFORE

NEAR = 100  # characters allowed between a one-time code and the words for it

# A code, as written or masked.
_CODE = rf"(?:{ALONE_BEFORE}(?:[A-Z]{{1,3}}-\d{{4,8}}|\d{{3}}[- ]\d{{3}}|\d{{4,8}}){ALONE_AFTER}|(?-i:\[code\]))"
_ANY_CODE = re.compile(_CODE)
# What people call a code.
_NAME = r"(?:code|codes|pin|pincode|tan|mtan|kode|código|codigo|codice|kennwort|passwort|password|clave|senha)"
_IS = r"(?:is|ist|lautet|est|es|è|é)"
# Words used only for one-time codes.
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
# “Your Uber code is 1234”, “1234 ist dein Code”.
_YOUR = (
    r"\b(?:your|dein|ihr|votre|ton|tu|su|il tuo|il suo|seu|teu)"
    rf"(?:[ -](?!(?:zip|area|post|postal|promo)\b)[\w.]+){{0,3}}?[ -]{_NAME}\b"
)
_YOUR_CODE = re.compile(
    rf"(?i){_YOUR}\s*(?:{_IS}\b)?\s?:?\s*(?P<after>{_CODE})|(?P<before>{_CODE}) (?:{_IS}|as|als|como|come|comme) {_YOUR}"
)
# “the door code is 4821”, “pin: 4821”, “code 482913”, but not “the code is 5000 lines long”.
_SAID_CODE = re.compile(
    rf"(?i)\b{_NAME}\b(?! (?:postale?|de [áa]rea|promo\w*|source)\b)"
    rf"(?:(?:[ \t]+[^\s\d]+){{0,5}}?[ \t]+{_IS}(?:[ \t]+(?:still|now|noch))?[ \t]*:?\s*|\s?[:=]\s*|[ \t]+(?!(?:19|20)\d\d\b))"
    rf"(?P<code>{_CODE}|{ALONE_BEFORE}\d\d(?:[- ]\d\d){{2}}{ALONE_AFTER})(?! ?(?:lines?|zeilen|lignes|líneas|characters|words|bytes)\b)"
)
# Before “code”: codes that are not secret.
_OTHER_CODE = re.compile(
    r"(?i)\b(?:zip|area|dress|error|exit|status|http|post|postal|country|source|colou?r|promo|discount|coupon|tax|bar|qr"
    r"|dialing|dialling|penal|civil|morse|fehler|vor|post\w*|rabatt\w*|gutschein\w*|of)[ -]?$"
)


def find_codes(text: str) -> Iterator[tuple[int, int]]:
    """Yield the codes in a text: one-time codes, and numbers that the text calls a code."""
    yield from _one_time(text)
    yield from _yours(text)
    for match in _SAID_CODE.finditer(text):
        if not _OTHER_CODE.search(text[max(0, match.start() - 25) : match.start()]):
            yield match.span("code")


def is_code_message(text: str) -> bool:
    """True for a service's message with a one-time code, masked or not."""
    return any(_one_time(text)) or any(_yours(text))


def _one_time(text: str) -> Iterator[tuple[int, int]]:
    """Yield codes near the words for a one-time code."""
    words = [match.span() for match in _ONE_TIME.finditer(text)]
    starts = [start for start, _ in words]
    for match in _ANY_CODE.finditer(text) if words else ():
        after = bisect_right(starts, match.start())
        word_before = after > 0 and match.start() - words[after - 1][1] <= NEAR
        word_after = after < len(words) and words[after][0] - match.end() <= NEAR
        if word_before or word_after:
            yield match.span()


def _yours(text: str) -> Iterator[tuple[int, int]]:
    for match in _YOUR_CODE.finditer(text):
        yield match.span("after" if match["after"] else "before")
