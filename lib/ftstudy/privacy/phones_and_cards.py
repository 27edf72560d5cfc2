"""Finds the numbers of cards, bank accounts and phones."""

import re
from collections.abc import Callable, Iterator

from phonenumbers import Leniency, NumberParseException, PhoneNumberMatcher, is_valid_number, parse

# Around a number that is not part of a longer number, an amount of money or a time.
ALONE_BEFORE = r"(?<![\w+.,:/$€£#-])"
ALONE_AFTER = r"(?![\w%€$£]|[.,:/-]\d| ?(?:€|\$|£|EUR|USD|GBP))"

# Groups of digits, as card numbers are written; one match may contain several numbers.
_CARDS = re.compile(r"(?<![\d.,])(?:\d{4}(?:(?:\.\d{4}){3}|\.\d{6}\.\d{5})(?![\d.]\d)|\d{3,}(?:[ -]\d{2,})*)")
_DIGITS = re.compile(r"\d+")
# An IBAN: in capitals with or without spaces or dashes, in lower case without, or of digits alone.
_IBAN = re.compile(
    r"(?<!\w)(?:[A-Z]{2}\d{2}(?:[ .-]?[A-Z0-9]){11,30}|[a-z]{2}\d{2}[a-z0-9]{11,30}|(?i:[A-Z]{2}) ?\d{2}(?:[ .-]?\d){11,30})(?!\w)"
)

# Phone numbers as people write them in different countries.
_PHONE = re.compile(
    rf"{ALONE_BEFORE}(?:"
    r"\+(?:[ ().\-/]{0,3}\d){8,15}"  # with a country code
    r"|00[1-9](?:[ ()\-/]{0,3}\d){8,13}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d([ .-]))[2-9]\d\d(?:\1|[ .-])\d{4}"  # North America
    r"|[2-9]\d\d-\d{4}"
    r"|\(?0[1-9]\d{1,4}\)?(?:[ /-]{1,3}\d{2,8}){1,4}"  # Germany, Britain, Italy and others
    r"|0[1-9]\d{8,10}"
    r"|0[1-9]([ .-]?)\d\d(?:\2\d\d){3}"  # France
    r"|[679]\d\d \d\d\d? \d\d\d?(?: \d\d)?"  # Spain, Portugal
    r"|\(?[1-9]\d\)? ?9?\d{4}-\d{4}"  # Brazil
    rf"){ALONE_AFTER}"
)
# A North American number without its area code.
_LOCAL = re.compile(r"\d{3}-\d{4}")
# Seven digits or more in any grouping: where the library looks for phone numbers.
_DIGITS_OF_PHONE = re.compile(r"[+(]?\d(?:[ \t().\-/+]{0,4}\d){6,}")
# Digits one by one, in emoji or with a space between two: 0️⃣3️⃣0️⃣…, 0 1 7 1 …
_ONE_BY_ONE = re.compile(
    rf"(?<!\ufe0f)(?<!\u20e3)(?:\d\ufe0f?\u20e3 ?){{6,14}}\d\ufe0f?\u20e3"
    rf"|{ALONE_BEFORE}(?<!\d )0(?: \d){{9,12}}{ALONE_AFTER}(?! \d)"
)
# WhatsApp's mention of somebody: @ and the digits of the number, or of an id of WhatsApp's own.
_MENTION = re.compile(r"(?<![^\W\d]|[.@])@(\d{7,20})(?!\w)")
# A number after one of these words belongs to a thing, not a phone.
_THING = re.compile(
    r"(?i)(?:\b(?:order|invoice|tracking|ticket|booking|reservation|reference|ref|case|isbn|account|id|version"
    r"|bestell\w*|rechnung\w*|sendung\w*|auftrag\w*|commande|facture|pedido|factura|ordine|fattura|fatura)"
    r"(?:[ .]*(?:number|num|no|nr|id|code|n[°ºo]|número|numéro|numero))?|#)[\s:.#]*$"
)
# A date with the year first or last.
_DATE = re.compile(
    r"(?:19|20)\d\d[-/. ]?(?:0[1-9]|1[0-2])[-/. ]?(?:0[1-9]|[12]\d|3[01])|[0-3]?\d[-/. ][01]?\d[-/. ](?:19|20)\d\d"
)


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Yield the numbers of cards and bank accounts with valid check digits."""
    for numbers in _CARDS.finditer(text):
        end = 0
        for group in _DIGITS.finditer(text, *numbers.span()):
            if group.start() >= end and (found := _longest(text, group.start(), numbers.end(), 37, _is_card)):
                end = found
                yield group.start(), end
    for match in _IBAN.finditer(text):
        if end := _longest(text, *match.span(), 42, _is_iban):
            yield match.start(), end


def _longest(text: str, start: int, end: int, most: int, is_valid: Callable[[str], bool]) -> int:
    """The end of the longest valid number that starts at `start` and ends with a group of digits, or 0."""
    for n in range(min(end, start + most), start + 12, -1):
        ends_group = text[n - 1].isalnum() and not text[n : n + 1].isalnum()
        if ends_group and is_valid(re.sub("[ .-]", "", text[start:n])):
            return n
    return 0


def _is_card(digits: str) -> bool:
    """True if Luhn's checksum fits, except for ISBNs and trivial numbers."""
    is_book = len(digits) == 13 and digits.startswith(("978", "979"))
    if not 13 <= len(digits) <= 19 or digits[0] == "0" or is_book or len(set(digits)) == 1 or set(digits) <= set("01"):
        return False
    return is_luhn(digits)


def is_luhn(digits: str) -> bool:
    """True if the last digit checks the others: every second one counts twice."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def _is_iban(iban: str) -> bool:
    """True if the ISO 7064 checksum fits: letters count from 10, the first four characters come last."""
    if not (15 <= len(iban) <= 34 and iban.isascii()):
        return False
    return int("".join(str(int(one, 36)) for one in iban[4:] + iban[:4])) % 97 == 1


def find_phones(text: str, region: str) -> Iterator[tuple[int, int]]:
    """Yield mentions by digits, phone numbers in the forms above, and those that are valid in `region`."""
    yield from (match.span(1) for match in _MENTION.finditer(text))
    for match in _ONE_BY_ONE.finditer(text):
        digits = "".join(_DIGITS.findall(match[0]))
        if digits not in "01234567890" and len(set(digits)) > 3 and _is_valid(digits, region):
            yield match.span()
    if not _DIGITS_OF_PHONE.search(text):
        return
    for start, end in (*_written_phones(text), *_library_phones(text, region)):
        if text[start] == "+" or not _THING.search(text[max(0, start - 40) : start]):
            yield start, end


def _written_phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        number = match.group()
        digits = re.sub(r"\D", "", number)
        is_long_enough = 9 <= len(digits) <= 15 or _LOCAL.fullmatch(number)
        is_round = digits.endswith("00000") or set(digits) <= set("01")
        if is_long_enough and not is_round and not _DATE.match(number):
            yield match.span()


def _library_phones(text: str, region: str) -> Iterator[tuple[int, int]]:
    # Only around digits, because the library is slow on long texts. Long columns of numbers are not phones.
    for piece in _DIGITS_OF_PHONE.finditer(text):
        if piece.end() - piece.start() > 60:
            continue
        start = max(0, piece.start() - 8)
        for match in PhoneNumberMatcher(text[start : piece.end() + 8], region, leniency=Leniency.VALID, max_tries=20):
            if not _is_date(match.raw_string) and _is_grouped(match.raw_string):
                yield start + match.start, start + match.end
        if _is_phone(piece[0], text[: piece.start()][-1:], text[piece.end() : piece.end() + 2], region):
            yield piece.span()


def _is_date(number: str) -> bool:
    """Whether a number has a date in it: +82 10-2000-0000 has not, for no date begins with a plus."""
    return not number.startswith("+") and bool(_DATE.search(number))


def _is_grouped(number: str) -> bool:
    """False for counting: 1 2 3 4 5 6 7 8 9 10."""
    groups = _DIGITS.findall(number)
    return number.startswith("+") or 2 * len(groups) <= sum(map(len, groups)) + 1


def _is_phone(number: str, before: str, after: str, region: str) -> bool:
    """True for a valid number whose groups the library does not expect: 0176-12 34 56 78, 0(532) 123 45 67."""
    is_alone = not re.match(r"[\w+.,/$€£#-]", before) and not re.match(r"\w|[%€$£]|[.,:/-]\d", after)
    if not is_alone or _is_date(number) or not _is_grouped(number):
        return False
    digits = re.sub(r"\D", "", number)
    if not number.startswith(("+", "(", "0", "8")) and len(_DIGITS.findall(number)) < 3:
        return False  # 12345678 may count anything
    return _is_valid(("+" if number.startswith("+") else "") + digits, region)


def _is_valid(number: str, region: str) -> bool:
    try:
        return is_valid_number(parse(number, region))
    except NumberParseException:
        return False
