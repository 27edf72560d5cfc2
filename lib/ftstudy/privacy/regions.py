"""The country whose phone numbers may be written without a country code."""

import re
from collections import Counter
from collections.abc import Iterable

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    is_valid_number,
    parse,
    region_code_for_number,
)

from ..errors import StudyError
from .plain_text import plain

UNKNOWN_REGION = "US"  # without any number to infer it from
_INTERNATIONAL = re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ().\-/]{0,3}\d){7,14}(?!\d)")
# A mention by digits, or a sender's id that is a number.
_DIGITS_ONLY = re.compile(r"@(\d{8,15})(?!\w)")


def check_region(region: str) -> str:
    """The region in capitals. StudyError: not the two letters of a country that has phone numbers."""
    if region and region.upper() not in SUPPORTED_REGIONS:
        raise StudyError(
            f"Unknown region {region!r} for phone numbers. Use the two letters of the country whose numbers are written "
            "without a country code, such as DE or US (REGION=… or --region); without it, ftstudy infers the country."
        )
    return region.upper()


def infer(addresses: Iterable[str], texts: Iterable[str]) -> tuple[str, str]:
    """The most frequent country of the different numbers that have a country code, and a note that says so.

    `addresses`: of senders and contacts. `texts`: numbers in them count too.
    """
    written = {match for text in texts if "+" in text or "00" in text or "@" in text for match in _numbers(plain(text))}
    written |= {match for address in addresses for match in _numbers(plain(address))}
    numbers = {(one.country_code, one.national_number): one for one in map(_parsed, written) if one is not None}
    regions = Counter(filter(None, map(region_code_for_number, numbers.values())))
    regions.pop("001", None)
    if not regions:
        return UNKNOWN_REGION, ""
    region, count = min(regions.items(), key=lambda one: (-one[1], one[0]))
    return region, (
        f"Phone numbers without a country code are read as numbers of {region}, the country of {count:,} of the "
        f"{sum(regions.values()):,} numbers with one; --region or REGION=… sets another country."
    )


def _numbers(text: str) -> set[str]:
    found = {re.sub(r"\D", "", match.replace("(0)", "")) for match in _INTERNATIONAL.findall(text)}
    return {one.removeprefix("00") for one in found} | set(_DIGITS_ONLY.findall(text))


def _parsed(digits: str) -> PhoneNumber | None:
    try:
        number = parse(f"+{digits}")
    except NumberParseException:
        return None
    return number if is_valid_number(number) else None
