"""Finds user names that stand next to the name of their app: “insta: foo_bar”, “@foobar on Telegram”."""

import re
from collections.abc import Iterator

# Names of apps that are no other words; the second group are other words too.
_APP = (
    r"insta(?:gram)?|snapchat|telegram|tik ?tok|twitter|discord|skype|wechat|weixin|psn|xbox|gamertag|twitch|facebook"
    r"|linkedin|venmo|cash ?app|paypal|reddit|youtube|bluesky|bsky|mastodon|github|gitlab|threema|bereal|spotify"
)
_WORD_TOO = r"ig|snap|tg|kik|line|signal|steam|threads|fb|yt|vk|dc"
_SAYS = r"(?: ?(?:user ?name|name|id|handle|tag|account|acc|nick|konto|usuario|benutzername|pseudo|nom|nome))"
_LABEL = f"{_SAYS}?"
_IS = r"(?: ?(?:[:=👉→]|[-=]>) ?| [-–] | (?:is|ist|est|c['’]est|es|è|é)(?: ?:)? |['’]s )"
_REST = r"(?:[\w-]|\.(?=\w)){1,38}(?:#\d{4})?(?!\w)"
_AT = rf"@(?!(?:everyone|here|all|channel)\b)\w{_REST}"
# Without an @, what ordinary words do not have: an underscore, a digit or a dot inside.
_ODD = rf"(?:live:)?(?!v\d+\.|[\w-]{{1,38}}(?:\.[\w-]{{1,38}}){{1,3}}/\S)(?=[a-z-]{{0,38}}[_.\d#])[a-z_](?=[\w.#-]{{3}}){_REST}"
_PLAIN = r"[a-z][\w-]{4,29}(?=\s{0,3}(?:\Z|[\n,;!?)|]|\.(?:\s|\Z)))"
_ANY_APP = re.compile(rf"(?i)\b(?:{_APP}|{_WORD_TOO}|u/)")  # a quick test
_NEAR = [
    re.compile(pattern)
    for pattern in (
        rf"(?i)\b(?:{_APP}|{_WORD_TOO}){_LABEL}(?:{_IS}| )(?P<name>{_AT})",
        rf"(?i)\b(?:{_APP}|{_WORD_TOO}){_LABEL}{_IS}(?P<name>{_ODD})",
        rf"(?i)\b(?:{_APP}|(?:{_WORD_TOO}){_SAYS}) (?P<name>{_ODD})",
        rf"(?i)\b(?:{_APP}|{_WORD_TOO}){_LABEL} ?[:=] ?(?P<name>{_PLAIN})",
        rf"(?i)(?<![\w.@])(?P<name>{_AT}|{_ODD}) (?:\(|(?:on|auf|bei|sur|en|su|no|na|via) )(?:{_APP}|{_WORD_TOO})\b",
        r"(?i)(?<![\w/.])/?(?P<name>u/[\w-]{3,20})(?![\w/])",
    )
]


def find_user_names(text: str) -> Iterator[tuple[int, int]]:
    for pattern in _NEAR if _ANY_APP.search(text) else ():
        yield from (match.span("name") for match in pattern.finditer(text))
