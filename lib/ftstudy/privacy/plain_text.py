"""Text in the characters that the patterns know: ASCII digits, dashes, dots and spaces, each in its place.

People write a phone number with the dashes and digits that their phone has: +49 176‑1234, ٠١٠٠١٢٣٤٥٦٧, ０９０－１２３４.
"""

import unicodedata

_LIKE = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63",
    " ": "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))),
    ".": "\u00b7\u2022\u2024\u2027\u2219\u22c5\u30fb",
    "/": "\u2044\u2215",
    "'": "\u2018\u2019\u02bc",
}
# They have no width, so a reader does not see them between two digits.
_INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}


class _Plain(dict):
    """Code point -> plain character; the digits of all scripts are added as they come."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = str(unicodedata.decimal(character)) if character.isdecimal() else character
        return self[code]


_PLAIN = _Plain(_FULL_WIDTH | {ord(one): plain for plain, others in _LIKE.items() for one in others})
_PLAIN |= dict.fromkeys(map(ord, _INVISIBLE), " ")


def plain(text: str) -> str:
    """The text for matching: of the same length, with every character in its place."""
    return text if text.isascii() else text.translate(_PLAIN)
