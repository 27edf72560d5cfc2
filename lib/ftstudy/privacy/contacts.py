"""The user's address book: which addresses belong to one person, and that person's name.

A contact is a dict: `name` (as displayed), `given`, `family`, `nicknames` (list), `addresses` (list
of phone numbers and e-mail addresses, as written).
"""

import binascii
import csv
import io
import re
import warnings
from pathlib import Path

import pandas
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from vobject.base import ParseError, getLogicalLines, textLineToContentLine

from ..errors import StudyError
from ..paths import absolute, shown
from ..sources import OWNER_SENDER, check
from ..sources.exports import decode, read_bytes
from .plain_text import plain as in_plain_characters

SHORT_CODE = 6  # digits; numbers up to this length belong to services and match only exactly
NATIONAL = 8  # digits; the shortest phone number without a country code

_BEGINS = re.compile(r"(?im)^BEGIN:VCARD[ \t]*$")
_CARD = re.compile(r"(?ims)^BEGIN:VCARD[ \t]*$(.*?)(?:^END:VCARD[ \t]*$|(?=^BEGIN:VCARD)|\Z)")
# Pictures take most of an address book's bytes and contain no names.
_PICTURE = re.compile(r"(?im)^(?:[\w-]+\.)?(?:PHOTO|LOGO|SOUND|KEY)[;:][^\n]*\n(?:[ \t][^\n]*\n)*")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")  # mostly direction marks

_COLUMNS = {
    "name": r"name|display name|full name|contact|contact name",
    "given": r"first name|given name|vorname|pr[ée]nom|nombre|nome",
    "middle": r"middle name|additional name",
    "family": r"last name|family name|surname|nachname|nom|apellidos?|cognome|sobrenome",
    "nicknames": r"nick ?names?",
    "organization": r"organi[sz]ation(?: 1 - | )name|company|organi[sz]ation",
    "addresses": r"(?:phone|e-?mail)(?: \d+)? - value|e-?mail(?: \d)?(?: address)?|address(?:es)?|number"
    r"|(?:(?:home|business|work|mobile|car|other|primary|company main|assistant's|cell) )?(?:tele)?phone(?: \d)?"
    r"(?: number)?|mobile|cell",
}


def load(file: str | Path) -> list[dict]:
    """The contacts of a vCard file (2.1, 3.0, 4.0) or a CSV (Google, Outlook, or `name,address`).

    In a CSV of `name,address`, rows with the same name are one contact. Contacts that are broken or
    have no name are left out, and a warning counts them. StudyError: missing, empty, not permitted,
    neither a vCard file nor such a CSV, or without contacts.
    """
    path = absolute(file)
    data = read_bytes(path)
    text = decode(data)
    if any("\udc80" <= one <= "\udcff" for one in set(text)):  # not UTF-8, as from old phones and Outlook
        text = data.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_vcard = _BEGINS.search(text)
    found = [_card(card) for card in _CARD.findall(_PICTURE.sub("", text))] if is_vcard else _rows(text, path)
    contacts = [contact for contact in found if contact["name"]]
    if not contacts:
        raise StudyError(f"{shown(path)} has no contact with a name. Export the address book again, with all contacts.")
    if lost := len(found) - len(contacts):
        warnings.warn(f"{shown(path)}: {lost:,} of {len(found):,} contacts are broken or without a name.", stacklevel=2)
    return contacts


def _card(text: str) -> dict:
    """The contact on one card; lines that cannot be read are left out."""
    values = {}
    lines = io.StringIO("\n".join(line for line in text.split("\n") if line.strip()))
    for line, number in getLogicalLines(lines, allowQP="QUOTED-PRINTABLE" in text.upper()):
        try:
            entry = textLineToContentLine(line, number)
        except (ParseError, ValueError, LookupError, binascii.Error):  # not a line of a card, or an unknown encoding
            continue
        values.setdefault(entry.name.upper(), []).append(entry.value)
    names = re.sub(r"(?<!\\),", " ", values.get("N", [""])[0])  # a comma separates two given names
    family, given, middle, *_ = _parts(names, ";") + ["", "", ""]
    organization = _parts(values.get("ORG", [""])[0], ";")[0]
    displayed = next((_unescaped(value) for value in values.get("FN", []) if value.strip()), "")
    addresses = [_unescaped(value) for name in ("TEL", "EMAIL") for value in values.get(name, [])]
    return _contact(
        displayed or _joined(given, middle, family) or organization,
        given,
        family,
        [name for value in values.get("NICKNAME", []) for name in _parts(value, ",")],
        [re.sub(r"(?i)^(?:tel|mailto):|;.*", "", address) for address in addresses],
    )


def _parts(value: str, separator: str) -> list[str]:
    return [_unescaped(part) for part in re.split(rf"(?<!\\){separator}", value)]


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: " " if match[1] in "nN" else match[1], value).strip()


def _joined(*names: str) -> str:
    return " ".join(name for name in names if name)


def _contact(name: str, given: str, family: str, nicknames: list[str], addresses: list[str]) -> dict:
    kept = dict.fromkeys(address.strip() for address in addresses if plain(address))
    return {
        "name": name.strip(),
        "given": given.strip(),
        "family": family.strip(),
        "nicknames": [name.strip() for name in nicknames if name.strip()],
        "addresses": list(kept),
    }


def _rows(text: str, path: Path) -> list[dict]:
    header = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\n"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise StudyError(
            f"{shown(path)} is not a table of contacts: {error}. Export the address book as a vCard file (.vcf)."
        ) from error
    titles = [title.strip().casefold() for title in rows[0]] if rows else []
    places = {
        column: [place for place, title in enumerate(titles) if re.fullmatch(pattern, title)]
        for column, pattern in _COLUMNS.items()
    }
    if not (places["name"] or places["given"] or places["family"]) or len(titles) < 2:
        raise StudyError(
            f"{shown(path)} is neither a vCard file nor a CSV with columns for names and addresses. Export the address "
            "book as a vCard file (.vcf), or write a CSV whose first line is name,address."
        )
    contacts = [_row(row, places) for row in rows[1:] if any(cell.strip() for cell in row)]
    return contacts if places["given"] or places["family"] else _by_name(contacts)


def _row(row: list[str], places: dict[str, list[int]]) -> dict:
    cells = {column: [row[place].strip() for place in found if place < len(row)] for column, found in places.items()}
    first = {column: next((value for value in values if value), "") for column, values in cells.items()}
    name = first["name"] or _joined(first["given"], first["middle"], first["family"]) or first["organization"]
    addresses = [one for value in cells["addresses"] for one in value.split(":::")]
    return _contact(name, first["given"], first["family"], cells["nicknames"], addresses)


def _by_name(contacts: list[dict]) -> list[dict]:
    """Merge contacts with the same name: a table of names and addresses cannot say otherwise who is one person."""
    by_name = {}
    for contact in contacts:
        if not contact["name"]:
            by_name[len(by_name)] = contact
            continue
        known = by_name.setdefault(contact["name"], contact)
        if known is not contact:
            known["addresses"] = list(dict.fromkeys(known["addresses"] + contact["addresses"]))
            known["nicknames"] = list(dict.fromkeys(known["nicknames"] + contact["nicknames"]))
    return list(by_name.values())


def plain(address: str) -> str:
    """An address in a normal form, or "" for anything that is not an address, such as a name.

    An e-mail address is casefolded. A phone number becomes its digits, with "+" if it has a country
    code.
    """
    address = _INVISIBLE.sub("", address).strip()
    if re.fullmatch(r"[^\s@]+@[^\s@]+", address):
        return address.casefold()
    address = in_plain_characters(address)
    if not re.fullmatch(r"\+?[\d\s().\-/]+", address):
        return ""
    digits = re.sub(r"\D", "", address.replace("(0)", "") if address.startswith("+") else address)
    if not digits:
        return ""
    if len(digits) <= SHORT_CODE:
        return digits
    if address.startswith("+"):
        return "+" + digits
    return "+" + digits[2:] if digits.startswith("00") else digits.lstrip("0")


def distinct(messages: pandas.DataFrame, contacts: list[dict]) -> list[dict]:
    """The contacts with unique names: a second Anna becomes "Anna (2)".

    Two cards with the same name and a common address are one contact. No contact gets the name of a
    group or of the owner.
    """
    merged, seen = [], {}
    for contact in contacts:
        addresses = [one for one in map(plain, contact["addresses"]) if one]
        alike = [(contact["name"], key) for address in addresses for key in _lookups(address)]
        known = next((seen[key] for key in alike if key in seen), None)
        if known is None:
            known = {**contact, "addresses": [], "nicknames": []}
            merged.append(known)
        known["addresses"] = known["addresses"] + contact["addresses"]
        known["nicknames"] = known["nicknames"] + contact["nicknames"]
        for address in addresses:
            for key in _keys(address):
                seen.setdefault((contact["name"], key), known)
    taken = {OWNER_SENDER, *messages.loc[messages["is_group"], "conversation"].unique()}
    for contact in merged:
        name, number = contact["name"], 2
        while contact["name"] in taken:
            contact["name"], number = f"{name} ({number})", number + 1
        taken.add(contact["name"])
    return merged


def apply(messages: pandas.DataFrame, contacts: list[dict]) -> pandas.DataFrame:
    """The messages with contacts' names instead of addresses, so that a person is one conversation.

    Addresses shared by two contacts, or in no contact, stay. Group conversations keep their name; no
    contact is called "me".
    """
    owners = {}
    for contact in distinct(messages, contacts):
        for address in filter(None, map(plain, contact["addresses"])):
            for key in _keys(address):
                owners.setdefault(key, set()).add(contact["name"])

    def name_of(address: str) -> str:
        found = {name for key in _lookups(plain(address)) for name in owners.get(key, ())}
        return found.pop() if len(found) == 1 else address

    names = {one: name_of(one) for one in {*messages["sender"].unique(), *messages["conversation"].unique()}}
    sender = messages["sender"].map(names).astype(object)
    conversation = messages["conversation"].map(names).astype(object)
    conversation = conversation.where(~messages["is_group"], messages["conversation"])
    renamed = messages.assign(conversation=conversation, sender=sender)
    renamed.attrs = dict(messages.attrs)
    return check(renamed)


def _keys(address: str) -> list[tuple]:
    """The keys under which a contact's address is found: the same, as a national number, or by its end."""
    if "@" in address or len(address) <= SHORT_CODE:
        return [("same", address)]
    digits = address.lstrip("+")
    keys = [("same", digits)] + [("end", rest) for rest in _without_country(digits)]
    return keys if address.startswith("+") or len(digits) < NATIONAL else [*keys, ("national", digits)]


def _lookups(address: str) -> list[tuple]:
    """The keys by which an address finds its contact.

    Only one of the two numbers may lack its country code: +45 12 34 56 78 is not +47 12 34 56 78.
    """
    if "@" in address or len(address) <= SHORT_CODE:
        return [("same", address)]
    digits = address.lstrip("+")
    lookups = [("same", digits)] + [("national", rest) for rest in _without_country(digits)]
    return lookups if address.startswith("+") else [*lookups, ("end", digits)]


def _without_country(digits: str) -> list[str]:
    """The national numbers, without leading zeros, that remain if the digits begin with a country code."""
    rests = [digits[n:].lstrip("0") for n in (1, 2, 3) if int(digits[:n]) in COUNTRY_CODE_TO_REGION_CODE]
    return [rest for rest in rests if len(rest) >= NATIONAL]
