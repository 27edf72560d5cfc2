"""The words of a text, the ways to write a person's name, and the names that are also ordinary words."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# Scripts without spaces between words, or with particles attached to them: Thai, Lao, Burmese, Khmer,
# Japanese, Chinese, Korean.
_RUNNING = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0d7f"
# A word, including combining marks.
WORD = re.compile(rf"[^\W_{_RUNNING}]+(?:[{_MARKS}]+[^\W_{_RUNNING}]*)*")
_UNACCENTED = re.compile("(?<!и)[\u0300-\u036f]|(?<=и)[\u0300-\u0305\u0307-\u036f]|[\u0591-\u05c7\u064b-\u065f\u0670]")
_PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th"})
_TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
# A run of characters of a script without spaces.
RUN = re.compile(rf"[{_RUNNING}]+")


SURNAME = 6  # letters of a contact's last word that probably is a name, also in lower case


class Form(NamedTuple):
    """One way to write a person's name."""

    text: str
    only_capitalized: bool = False  # in lower case it is probably something else
    is_given: bool = False  # an s may follow: “annas haus”


def words_of(text: str) -> list[str]:
    """The words of a text, normalized for comparison."""
    return unicodedata.normalize("NFC", " ".join(WORD.findall(text)).casefold()).split()


def fold(word: str) -> str:
    """A word without accents, as people type it: jose, zoe, lukasz. й stays: it is a letter, not an accent."""
    if word.isascii():
        return word
    plain = _UNACCENTED.sub("", unicodedata.normalize("NFD", word.translate(_PLAIN_LETTERS)))
    return unicodedata.normalize("NFC", plain)


def german_fold(word: str) -> str:
    """A word whose umlauts and the like are two letters: moeller, soeren, aase."""
    return fold(word.translate(_TWO_LETTERS))


def forms_of(person: dict) -> Iterator[Form]:
    """Yield the ways to write a person's name; some may be empty or equal."""
    given, family = person.get("given", ""), person.get("family", "")
    name = re.sub(r" \(\d+\)$", "", person["name"])  # contacts.distinct added the number
    yield Form(name)
    yield Form(person.get("pseudonym", ""))
    yield Form(f"{given} {family}")
    yield Form(f"{given}{family}" if given and family else "")  # JonasWeber
    yield Form(family)
    for one in (given, *given.split()[:1], *person.get("nicknames", ())):
        yield Form(one, is_given=True)
    if not given and not family:
        yield from _parts_of(name)


def _parts_of(name: str) -> Iterator[Form]:
    """Yield a name's first word and its last: a surname, or where the owner met them (“Ben Work”)."""
    parts = [part for part in name.split() if WORD.search(part) or RUN.search(part)]
    bare = [" ".join(words_of(part)) for part in parts]
    first = next((place for place, part in enumerate(bare) if part not in TITLES), len(parts))
    if first < len(parts):
        yield Form(parts[first], is_given=first == 0)
    if first < len(parts) - 1:
        yield Form(parts[-1], only_capitalized=len(bare[-1]) < SURNAME or bare[-1] in OTHER_LAST_WORDS)
        yield Form(f"{parts[first]} {parts[-1]}")
        yield Form(f"{parts[first]}{parts[-1]}", only_capitalized=len(bare[first] + bare[-1]) < SURNAME)


# Titles before a name, casefolded.
_TITLES = """
dr prof mr mrs ms miss mx sir dame herr frau mme mlle monsieur madame sr sra srta señor señora don doña dott dra
rev father sister brother uncle auntie aunt tante onkel tía tío zia zio tonton tata coach the my la le el der die
"""
# Names that are also ordinary words, casefolded: they count as names only where they are written as names.
_ORDINARY = """
ace al alba amber an angel anger april art ash aurora autumn baby baker banks barber bay bear bell berry best
bill bird bishop black bliss bloom blue bob boss bow brand brandy brook brooks brown buddy bush butcher butler
candy carpenter case cash cat chance charity chase chef cherry chip christian clean coach cook coral corn
crystal curry dawn day dean den desire destiny dick dot dove drew drum east eden even ever faith farmer fern
field fish fisher flower ford forest fox frank free french friday garden gardener gentle gift ginger glass
glen glory gold golden good grace grant gray green grey guy hawk hay he heath heaven hill holly home honey
honor hope house hunt hunter in iron ivory jack jewel jolly joy july june justice karma king knight lake land
lane law liberty light lion little long love low luck lucky mad mae major man march mark may me melody mercy
merry mile miles miller miracle mister moon morning moss my no north oak ocean olive on page pat peace peach
pearl penny pepper piper pool poppy post potter power precious price pride prince princess pub queen rain
rainbow red reed reef rhyme rice rich river rob rock rose row saint sea see serene shade shore short sky skip
smith snow so sol south star stone storm story strong sue sugar summer sun sunday sunny swan sweet teal the
theme tiger to trip true tuesday ty victory wall ward way wells west wheat will willow win winter wolf wood
woods worth you young

mom mum mommy mummy mama mamma mami mamá maman mutter mutti dad daddy papa papá papi pa pap vater vati père
mère padre madre pai mãe parents eltern granny grandma grandpa gran nana nanna nonna nonno oma opa omi opi
abuela abuelo mamie papy avó avô vovó vovô aunt auntie uncle tante onkel tía tío tia tio zia zio cousin
cousine prima primo brother bro sister sis bruder schwester frère soeur sœur hermano hermana fratello sorella
irmão irmã wife husband hubby wifey frau mann femme mari esposa esposo marido moglie marito mulher son
daughter sohn tochter fils fille babe bae schatz schatzi liebling chéri chérie amor amore cariño friend freund
freundin ami amie amigo amiga amico amica mate neighbor neighbour nachbar nachbarin voisin vecino roommate
landlord

work office job arbeit büro travail bureau trabajo trabalho lavoro ufficio gym gymnasium haus zuhause maison
casa school schule école escuela escola scuola uni university college mobile cell phone handy new old neu alt
nouveau nuevo novo nuovo club team group class doctor dentist arzt zahnarzt plumber driver taxi uber delivery
pizza bank hotel church shop store market center centre support service info airbnb tinder insta instagram
whatsapp facebook football fußball yoga dance band bar café restaurant

aurore belle blanche bonne claire clément constant fleur franc marine mai noël parfait petit soleil victoire
august baum engel fuchs graf groß hell jäger kaiser klein koch könig krause kurz lang licht mild richter
ritter rot sommer stein stern süß vogel weber weiß zimmer alegría alma ángel blanca blanco bueno campo
consuelo cruz dolores domingo esperanza estrella flor gloria guerra iglesia jesús leal leon león luz mar
mercedes milagros moreno nieves paloma pilar pura reina rey río rosa rubio santos soledad torres victoria
felice fiore gioia luna mare perla stella vera vita bianca costa fontana
"""

TITLES = frozenset(_TITLES.split())
# Last words of a contact that are rather a place or a role than a surname, or surnames that are frequent words.
OTHER_LAST_WORDS = frozenset(
    """
flores castillo campos iglesias guerrero walker turner porter singer friends family kletterhalle arbeitskollege kollege
kollegin nachhilfe vermieter hausarzt zahnärztin trainer coworker colleague holiday berlin hamburg london madrid munich
münchen zürich vienna boston schneider bauern kaufmann
""".split()
)
ORDINARY = frozenset(_ORDINARY.split())
# Words that look like a name without its accents: Peña, Şen, Çan, Ömür, Más.
FUNCTION_WORDS = frozenset(
    """
pena sen can on un en es el la si se de mas sol tu que qui ou du des les mes son ton nos vos ses est mal aus fur uber
war was wer wie wir ihr sie und der die das dem den ein the and you are not ice ince var yok kac cok gun gul sac son
""".split()
)
