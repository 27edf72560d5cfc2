"""Finds keys and tokens of services, by how each service begins them."""

import re
from collections.abc import Iterator

_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"sk-(?:proj|ant|svcacct|admin|or|lf)-[\w-]{16,}|sk-(?=[A-Za-z-]*\d)[A-Za-z0-9]{20,}"  # OpenAI, Anthropic, others
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"  # GitHub, GitLab
    r"|A(?:KIA|SIA|GPA|IDA|ROA)[A-Z0-9]{16}"  # Amazon
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{16,}"  # Slack
    r"|AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}"  # Google
    r"|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"
    r"|[spr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"  # Stripe
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|(?:SK|AC)[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,}|do[opr]_v1_[0-9a-f]{20,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?"  # a JSON web token
    r"|\d{8,10}:A[\w-]{34}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}"  # bots of Telegram and Discord
    r"|0x[0-9a-fA-F]{40,64}|bc1[a-z0-9]{25,62}|AGE-SECRET-KEY-1[0-9A-Z]{50,}"  # wallets
    r")(?![\w])"
)
_LONG = re.compile(r"[\w.:/-]{16}")  # a quick test
_BEARER = re.compile(
    r"(?i)\bbearer\s{1,3}(?P<key>(?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{16,})|\bbasic\s{1,3}(?P<basic>[\w+/]{15,}={1,2})"
)
_NAMED = re.compile(
    r"(?i)(?<![a-z0-9])(?:api[ _-]?key|secret(?:[ _-](?:access[ _-])?key)?|(?:account|private|access)[ _-]?key"
    r"|(?:access|auth|bot|refresh)?[ _-]?token)(?:"
    r"['\"]?\s?[:=]\s?['\"]?(?P<key>(?=[\w.+/=~-]{0,200}\d)[\w.+/=~-]{12,})"
    r"|\s(?:is|ist|lautet|est|es|è|é)\s(?P<said>(?=\d*[a-z])(?=(?:[a-z+/=_]{0,30}\d){3})[\w+/=]{12,}))"
)
_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,30}-----|\Z)"
)


def find_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield keys with a known beginning, what a text calls a token or key, and private keys."""
    if _LONG.search(text):
        yield from (match.span() for match in _KEY.finditer(text))
    for pattern in (_BEARER, _NAMED):
        yield from (match.span(match.lastgroup) for match in pattern.finditer(text))
    yield from (match.span() for match in _BLOCK.finditer(text))
