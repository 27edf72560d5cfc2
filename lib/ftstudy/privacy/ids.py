"""Finds numbers of passports, identity cards, taxes and insurances, and number plates (en, de, fr, es, it, pt)."""

import re
from collections.abc import Callable, Iterator

from .phones_and_cards import is_luhn

_WORD = (
    r"(?:passport|паспорт\w{0,2}|pasaport|paszport|paspoort|(?:tc )?kimlik|pesel|reisepass|passeport|pasaporte|passaporto|passaporte|(?:personal)?ausweis|pass(?=[ -]?(?:nr|nummer|no\b|number))"
    r"|id[ -]card|identity card|carte (?:nationale )?d['’]identité|documento (?:nacional )?de identidad|carta d['’]identità"
    r"|bilhete de identidade|cartão de cidadão|dni|nie|nif|cpf|cnpj|rg|codice fiscale|partita iva|hetu|personnummer"
    r"|ssn|social(?:[ -]security)?(?=[ -](?:number|no|nr|security))|social security|national insurance|ni number|nino|nhs number"
    r"|sozialversicherungs|krankenversicherten|steuer(?:[- ]?id|identifikations)?(?=[- ]?(?:id|nr|nummer))|steuer-?id"
    r"|(?:numéro de )?sécurité sociale|numéro fiscal|seguridad social|número de contribuinte|tax id|itin"
    r"|driv(?:er['’]?s|ing) licen[cs]e|licen[cs]e(?=[ -](?:number|no\b|nr|\#))|führerschein|permis de conduire|permiso de conducir|carnet de conducir|patente di guida"
    r"|carteira de motorista)"
)
_LABEL = r"(?:[ -]?(?:number|num|no|nr|nummer|n[°ºo]|#|número|numéro|numero|id))?\.?"
_IS = r"(?:\s?[:=#]\s?|\s(?:is|ist|lautet|est|es|è|é)(?:\s?:)?\s|\s)"
_NAMED = re.compile(
    rf"(?i)(?<!\w){_WORD}{_LABEL}{_IS}(?P<value>[a-z0-9]{{1,20}}(?:[ ./-](?:[a-z]{{0,6}}\d[a-z0-9]{{0,12}}|[a-z](?=[ ./-]\d))){{0,6}}(?-i: [B-HJ-Z](?!\w))?)(?!\w)"
)
# A number plate is short, so it needs its word and capitals: Kennzeichen B-AB 1234.
_PLATE_VALUE = r"(?=[A-ZÄÖÜ -]{0,8}\d)[A-ZÄÖÜ\d]{1,4}(?:[ -]?[A-ZÄÖÜ\d]{1,4}){1,3}"
_PLATE = re.compile(
    r"(?i:(?<!\w)(?:(?:auto|kfz-?)?kennzeichen|(?:license|licence|number) plate|plaque d['’]immatriculation|immatriculation"
    r"|matrícula|targa|placa))(?i:\s?[:=]\s?|\s(?:is|ist|est|es|è|é)\s|\s)"
    rf"(?P<value>{_PLATE_VALUE})(?!\w)"
    r"|(?i:(?<!\w)(?:number )?plates?(?:\s?[:=]\s?|\s(?:is|are)\s))"
    rf"(?P<short>(?=[A-Z\d -]{{6}})(?=[\d -]{{0,8}}[A-Z]){_PLATE_VALUE})(?!\w)"
)


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)


def _always(_: str) -> bool:
    return True


def _is_dni(number: str) -> bool:
    """Spain: a letter checks the digits; X, Y and Z stand for 0, 1 and 2."""
    plain = number.replace("-", "")
    digits = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == plain[-1]


def _is_cpf(number: str) -> bool:
    """Brazil: two digits check those before them, weighted down to 2."""
    digits = list(map(int, _digits(number)))
    return len(set(digits)) > 1 and all(
        -sum(one * weight for one, weight in zip(digits, range(end + 1, 1, -1))) % 11 % 10 == digits[end]
        for end in (9, 10)
    )


def _is_nir(number: str) -> bool:
    """France: two digits check the others; Corsica's A and B count as numbers."""
    plain = number.replace(" ", "").replace("2A", "19").replace("2B", "18")
    return plain.isdecimal() and 97 - int(plain[:-2]) % 97 == int(plain[-2:])


def _is_hetu(number: str) -> bool:
    """Finland: a letter or digit checks the birthday and the number after it."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number[:6] + number[7:10]) % 31] == number[-1]


def _is_personnummer(number: str) -> bool:
    """Sweden: a birthday and a number; the days of some begin at 61."""
    month, day = int(number[2:4]), int(number[4:6]) % 60
    return 1 <= month <= 12 and 1 <= day <= 31 and is_luhn(_digits(number))


# Numbers that their form gives away, nearly all with check digits.
_UNNAMED: list[tuple[str, Callable[[str], bool]]] = [
    (r"\d{8}-?[A-Z]", _is_dni),
    (r"[XYZ]-?\d{7}-?[A-Z]", _is_dni),
    (r"(?i:[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z])", _always),
    (r"\d{3}\.\d{3}\.\d{3}-\d\d", _is_cpf),
    (r"\d{6}[-+]\d{4}", _is_personnummer),
    (r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", _is_hetu),
    (r"[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d", _is_nir),
    (r"\d{3}-\d\d-\d{4}", _always),  # social security, USA
    (r"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D])", _always),  # national insurance, Britain
]
_ANY_UNNAMED = re.compile(rf"(?<![\w.,/+-])(?:{'|'.join(f'({form})' for form, _ in _UNNAMED)})(?![\w/+-]|[.,]\d)")
_FOUR_DIGITS = re.compile(r"\d(?:[^\d\n]{0,3}\d){3}")  # a quick test


def find_ids(text: str) -> Iterator[tuple[int, int]]:
    """Yield what a word calls such a number, and numbers whose form and check digits say so."""
    if _FOUR_DIGITS.search(text):
        for match in _NAMED.finditer(text):
            if sum(map(str.isdigit, match["value"])) >= 4 and sum(map(str.isalnum, match["value"])) >= 6:
                yield match.span("value")
        for match in _ANY_UNNAMED.finditer(text):
            if _UNNAMED[match.lastindex - 1][1](match[0]):
                yield match.span()
    yield from (match.span(match.lastgroup) for match in _PLATE.finditer(text))
