"""The content of the rows: here who speaks, and whether anything is said.

Sister modules look for names before a reply (`speakers`), for what repeats too often or should repeat and doesn't
(`sameness`, `near_copies`), for the layout of user turns (`turn_layout`), for rendered templates (`control_tokens`), for odd
characters (`characters`), for what identifies somebody (`identifiers`), for what a template makes of contents that
aren't text (`written`), for thoughts (`thoughts`), and
for rows of plain text (`text_rows`).
"""

from ...chat_format.messages import in_words
from ...chat_format.rows import has_texts
from ...chat_format.template import Template
from ..evidence import in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import (
    characters,
    control_tokens,
    identifiers,
    near_copies,
    sameness,
    speakers,
    text_rows,
    thoughts,
    turn_layout,
    written,
)

ROLES = {"system", "user", "assistant", "tool"}
BAD_ROLES = Check(
    "data.roles",
    ("error", "warning"),
    "A role that neither mlx-lm nor the chat template knows, a system message that isn't the first, or an assistant "
    "who speaks first; a warning for two turns in a row by one side, which some templates reject.",
    cause="The chat template writes any role as it is, or rejects the row: the model learns turns that no app asks for.",
    fix="Write rows as system (or none), then user and assistant in turn.",
    fix_extracted="Write rows as system (or none), then user and assistant in turn; extract again, or fix these rows.",
    bad='{"messages": [{"role": "sam", "content": "yo"}, {"role": "assistant", "content": "hey"}]}',
    good='{"messages": [{"role": "user", "content": "yo"}, {"role": "assistant", "content": "hey"}]}',
)
LAST_ROLE = Check(
    "data.last_role",
    ("error",),
    "The last message, which is the one that is trained, is not by the assistant.",
    cause="mlx-lm trains on the last message whatever its role: the model learns to write the other person's texts.",
    fix="End every row with the owner's reply, with the role `assistant`.",
    bad='{"messages": [{"role": "assistant", "content": "yo"}, {"role": "user", "content": "dinner?"}]}',
    good='{"messages": [{"role": "user", "content": "dinner?"}, {"role": "assistant", "content": "yes pls"}]}',
)
EMPTY_REPLY = Check(
    "data.empty_reply",
    ("error",),
    "A reply that is empty or invisible.",
    cause="The model learns to end the turn at once, and to answer with nothing.",
    fix="Leave these rows out; they often come from an attachment or an unsent message.",
    bad='{"role": "assistant", "content": ""}',
    good='{"role": "assistant", "content": "ok"}',
)
EMPTY_USER = Check(
    "data.empty_user",
    ("error",),
    "A user turn in which nobody says anything.",
    cause="The reply answers something that isn't there, so the model learns to answer regardless of the question.",
    fix="Leave these rows out, or put a placeholder such as [photo] where the message was an attachment.",
    bad='{"role": "user", "content": "Ann: "}',
    good='{"role": "user", "content": "Ann: [photo]"}',
)
CHECKS = (
    BAD_ROLES,
    LAST_ROLE,
    EMPTY_REPLY,
    EMPTY_USER,
    *written.CHECKS,
    *thoughts.CHECKS,
    *sameness.CHECKS,
    *near_copies.CHECKS,
    *speakers.CHECKS,
    *control_tokens.CHECKS,
    *text_rows.CHECKS,
    *characters.CHECKS,
    *turn_layout.CHECKS,
    *identifiers.CHECKS,
)


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on the conversations of all splits. Never raises, whatever they contain."""
    tokenizer = inputs.tokenizer_or_none if any(split.rows for split in inputs.splits.values()) else None
    given, texts = rows_of(inputs, tokenizer)
    chats = {name: [(number, in_words(row)) for number, row in rows] for name, rows in given.items()}
    labels = speakers.labels_of(chats)
    every = {name: sorted([*rows, *texts[name]], key=lambda one: one[0]) for name, rows in chats.items()}
    return [
        *_roles(inputs, chats, str(getattr(tokenizer, "chat_template", None) or "")),
        *_empty(inputs, chats, labels),
        *written.check(inputs, given, tokenizer),
        *thoughts.check(inputs, given, tokenizer),
        *speakers.check(inputs, chats, labels),
        *sameness.check(inputs, chats, every),
        *near_copies.check(inputs, every),
        *turn_layout.check(inputs, chats),
        *control_tokens.check(inputs, chats, tokenizer),
        *text_rows.check(inputs, {name: inputs.texts(name) for name in texts}, chats, tokenizer),
        *characters.check(inputs, every),
        *identifiers.check(inputs, every),
    ]


def rows_of(inputs: RunInputs, tokenizer) -> tuple[dict, dict]:
    """Split -> (line, row) of the conversations that training takes, and of the other rows of text as one message each."""
    given = {name: _conversations(inputs, name, tokenizer) for name in inputs.splits}
    texts = {name: _texts(inputs, name, given[name]) for name in inputs.splits}
    return {name: [one for one in rows if _is_taken(one[1], tokenizer)] for name, rows in given.items()}, texts


def _conversations(inputs: RunInputs, name: str, tokenizer) -> list[tuple[int, dict]]:
    """(line, row) of a split's conversations, those among them that were written as text with the chat template."""
    if inputs.splits[name].schema != "text":
        return list(inputs.splits[name].chats())
    rows = inputs.conversations(name) if tokenizer else None
    return list(zip(rows.numbers, rows.rows)) if rows else []


def _texts(inputs: RunInputs, name: str, chats: list) -> list[tuple[int, dict]]:
    """(line, row) of the other rows of text, as rows with one message."""
    known = {number for number, _ in chats}
    rows = [(number, text) for number, text in inputs.texts(name) if number not in known]
    return [(number, {"messages": [{"role": "text", "content": text}]}) for number, text in rows]


def _is_taken(row: dict, tokenizer) -> bool:
    """Whether training takes a row with contents that aren't text; if not, the data family reports it."""
    if has_texts(row["messages"]):
        return True
    return (
        tokenizer is not None
        and Template(tokenizer).render(row["messages"], row.get("tools"), prompt=False) is not None
    )


def _roles(inputs: RunInputs, chats: dict, template: str) -> list[Finding]:
    wrong, twice, last = [], [], []
    for name, rows in chats.items():
        for number, row in rows:
            roles = [message["role"] for message in row["messages"]]
            problem, severe = order(roles, template)
            if problem:
                (wrong if severe else twice).append((name, number, problem))
            if roles[-1] != "assistant" and roles[-1] in ROLES:
                said = quoted(row["messages"][-1]["content"], 80)
                last.append((name, number, f"the last message is by {roles[-1]!r}: {said}"))
    return [
        *in_rows(inputs, BAD_ROLES, "error", wrong, "with roles that don't make a conversation"),
        *in_rows(
            inputs,
            BAD_ROLES,
            "warning",
            twice,
            "in which one side has two turns in a row",
            cause="Chat models were trained on alternating turns; several templates (Gemma, Mistral) reject others.",
            fix="Join consecutive messages of one side into one turn, with line breaks.",
        ),
        *in_rows(inputs, LAST_ROLE, "error", last, "whose last message is not the assistant's"),
    ]


def order(roles: list[str], template: str) -> tuple[str | None, bool]:
    """What is wrong with the order of roles, and whether it is an error."""
    for role in roles:
        # Some templates have further roles, which they name: `developer`, `ipython`.
        if role not in ROLES and f"'{role}'" not in template and f'"{role}"' not in template:
            return f"the role {quoted(role, 40)}", True
    if "system" in roles[1:]:
        return f"message {roles.index('system', 1) + 1} is the system's", True
    turns = [role for role in roles if role != "system"]
    if turns and turns[0] == "assistant":
        return "the assistant speaks first" if len(turns) > 1 else "no user turn", True
    for at in range(1, len(roles)):
        if roles[at] == roles[at - 1] and roles[at] in ("user", "assistant"):
            return f"messages {at} and {at + 1} are both the {roles[at]}'s", False
    return None, False


def _empty(inputs: RunInputs, chats: dict, labels: set[str]) -> list[Finding]:
    replies, users = [], []
    for name, rows in chats.items():
        for number, row in rows:
            for at, message in enumerate(row["messages"], 1):
                if is_empty(message, labels):
                    found, who = (replies, "assistant") if message["role"] == "assistant" else (users, "user")
                    found.append((name, number, f"message {at}, by the {who}, is {quoted(message['content'])}"))
    return [
        *in_rows(inputs, EMPTY_REPLY, "error", replies, "with an empty reply"),
        *in_rows(inputs, EMPTY_USER, "error", users, "with an empty user turn"),
    ]


def is_empty(message: dict, labels: set[str]) -> bool:
    """Whether a reply or a user turn, its content a text, says nothing. `labels`: from `speakers.labels_of`."""
    content, role = message["content"], message["role"]
    if role == "assistant":
        return not characters.visible(content) and not message.get("tool_calls")
    return role == "user" and (not characters.visible(content) or speakers.only_labels(content, labels))
