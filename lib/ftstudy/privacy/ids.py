"""Finds numbers of passports, identity cards, taxes and insurances, and number plates (en, de, fr, es, it, pt)."""

import re
from collections.abc import Callable, Iterator

from stdnum.br import cpf
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.se import personnummer

_WORD = (
    r"(?:passport|reisepass|passeport|pasaporte|passaporto|passaporte|(?:personal)?ausweis|pass(?=-?(?:nr|nummer|no\b|number))"
    r"|id[ -]card|identity card|carte (?:nationale )?d['’]identité|documento (?:nacional )?de identidad|carta d['’]identità"
    r"|bilhete de identidade|cartão de cidadão|dni|nie|nif|cpf|cnpj|rg|codice fiscale|partita iva|hetu|personnummer"
    r"|ssn|social(?:[ -]security)?(?=[ -](?:number|no|nr|security))|social security|national insurance|ni number|nino|nhs number"
    r"|sozialversicherungs|krankenversicherten|steuer(?:[- ]?id|identifikations)?(?=[- ]?(?:id|nr|nummer|nummber))|steuer-?id"
    r"|(?:numéro de )?sécurité sociale|numéro fiscal|seguridad social|número de contribuinte|tax id|itin"
    r"|driv(?:er['’]?s|ing) licen[cs]e|führerschein|permis de conduire|permiso de conducir|carnet de conducir|patente di guida"
    r"|carteira de motorista)"
)
_LABEL = r"(?:[ -]?(?:number|num|no|nr|nummer|n[°ºo]|#|número|numéro|numero|id))?\.?"
_IS = r"(?:\s?[:=#]\s?|\s(?:is|ist|lautet|est|es|è|é)(?:\s?:)?\s|\s)"
_NAMED = re.compile(
    rf"(?i)(?<!\w){_WORD}{_LABEL}{_IS}(?P<value>[a-z0-9]{{1,20}}(?:[ ./-][a-z]{{0,6}}\d[a-z0-9]{{0,12}}){{0,6}})(?!\w)"
)
# A number plate is short, so it needs its word and capitals: Kennzeichen B-AB 1234.
_PLATE = re.compile(
    r"(?i:(?<!\w)(?:(?:auto|kfz-?)?kennzeichen|(?:license|licence|number) plate|plaque d['’]immatriculation|immatriculation"
    r"|matrícula|targa|placa))(?i:\s?[:=]\s?|\s(?:is|ist|est|es|è|é)\s|\s)"
    r"(?P<value>(?=[A-ZÄÖÜ -]{0,8}\d)[A-ZÄÖÜ\d]{1,4}(?:[ -]?[A-ZÄÖÜ\d]{1,4}){1,3})(?!\w)"
)


def _always(_: str) -> bool:
    return True


# Numbers that their form gives away, nearly all with check digits.
_UNNAMED: list[tuple[str, Callable[[str], bool]]] = [
    (r"\d{8}-?[A-Z]", dni.is_valid),
    (r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
    (r"(?i:[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z])", codicefiscale.is_valid),
    (r"\d{3}\.\d{3}\.\d{3}-\d\d", cpf.is_valid),
    (r"\d{6}[-+]\d{4}", personnummer.is_valid),
    (r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", hetu.is_valid),
    (r"[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d", nir.is_valid),
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
    yield from (match.span("value") for match in _PLATE.finditer(text))
