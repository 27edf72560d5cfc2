"""Finds coordinates: where somebody is."""

import re
from collections.abc import Iterator

# Degrees with four decimals or more, which is a place to within 10 metres, as two numbers.
_DECIMAL = re.compile(
    r"(?<![\w.,])(?:geo:|[NS] ?)?(?P<latitude>[+-]?\d{1,2}[.,]\d{4,})(?:°? ?[NS])?(?: ?[,;] ?| )(?:[EWO] ?)?"
    r"(?P<longitude>[+-]?\d{1,3}[.,]\d{4,})(?:°? ?[EWO])?(?![\w.]\d|\w)"
)
# With its words, any number of decimals: lat 52.52 lon 13.40.
_SAID = re.compile(
    r"(?i)\blat(?:itude)?\s?[:=]?\s?[+-]?\d{1,2}[.,]\d+°?[ ,;/]{1,3}lon(?:g|gitude)?\s?[:=]?\s?[+-]?\d{1,3}[.,]\d+°?(?!\w)"
)
_GEO = re.compile(r"(?i)\bgeo:-?\d{1,2}(?:\.\d+)?,-?\d{1,3}(?:\.\d+)?(?:[;?][\w=;,.&-]*)?")
_DEGREES = r"\d{1,3}(?:\.\d+)? ?[°º](?: ?\d{1,2}(?:\.\d+)?(?: ?['′](?: ?\d{1,2}(?:\.\d+)? ?(?:[\"″”]|''))?)?)?"
_SEXAGESIMAL = re.compile(
    rf"(?<!\w)(?:[NS] ?{_DEGREES}[ ,;]{{1,3}}[EWO] ?{_DEGREES}|{_DEGREES} ?[NS][ ,;]{{0,3}}{_DEGREES} ?[EWO](?!\w))"
)
# An open location code, such as 9F4MGC2X+2X.
_PLUS_CODE = re.compile(r"(?<![\w+])[23456789CFGHJMPQRVWX]{8}\+[23456789CFGHJMPQRVWX]{2,3}(?![\w+])")


def find_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield coordinates in degrees, geo: links and open location codes."""
    for match in _DECIMAL.finditer(text):
        if _is_place(match["latitude"], match["longitude"]):
            yield match.span()
    for pattern in (_GEO, _SAID, _SEXAGESIMAL, _PLUS_CODE):
        yield from (match.span() for match in pattern.finditer(text))


def _is_place(latitude: str, longitude: str) -> bool:
    """False for two small numbers of four decimals, which may be ratings or prices."""
    latitude, longitude = latitude.replace(",", "."), longitude.replace(",", ".")
    decimals = min(len(one.partition(".")[2]) for one in (latitude, longitude))
    north, east = abs(float(latitude)), abs(float(longitude))
    return north <= 90 and east <= 180 and (decimals > 4 or max(north, east) >= 10)
