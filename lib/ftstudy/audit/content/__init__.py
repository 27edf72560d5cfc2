"""What stands in the rows: here who speaks, and whether anything is said.

Sister modules look for names before a reply (`speakers`), what is too often the same or not the
same (`sameness`), how a user turn is laid out (`user_form`), and control tokens and odd characters
(`characters`). Their findings are this family's too.
"""

from ...errors import StudyError
from ..evidence import quoted, rows_found
from ..run_inputs import RunInputs
from . import characters, sameness, speakers, user_form

CHECKS = {
    "data.roles": (
        "error or warning",
        "A role that neither mlx-lm nor the chat template knows, a system message that is not the first, or an "
        "assistant who speaks first; a warning for two turns in a row by the same side, which some templates refuse.",
    ),
    "data.last_role": ("error", "The last message, which is what is trained, is not by the assistant."),
    "data.empty_reply": ("error", "A reply of nothing, or of nothing that can be seen."),
    "data.empty_user": ("error", "A user turn in which nobody says anything."),
    **sameness.CHECKS,
    **speakers.CHECKS,
    **characters.CHECKS,
    **user_form.CHECKS,
}
ROLES = {"system", "user", "assistant", "tool"}


def check(inputs: RunInputs) -> list[dict]:
    """Findings on the conversations of all splits. Never raises, whatever stands in them."""
    chats = {name: list(split.chats()) for name, split in inputs.splits.items()}
    tokenizer = _tokenizer(inputs) if any(chats.values()) else None
    labels = speakers.labels_of(chats)
    return [
        *_roles(inputs, chats, str(getattr(tokenizer, "chat_template", None) or "")),
        *_empty(inputs, chats, labels),
        *speakers.check(inputs, chats, labels),
        *sameness.check(inputs, chats),
        *user_form.check(inputs, chats),
        *characters.check(inputs, chats, tokenizer),
    ]


def _tokenizer(inputs: RunInputs):
    """The tokenizer, or None: without a model, what does not need one is checked all the same."""
    try:
        return inputs.tokenizer
    except StudyError:
        return None


def _roles(inputs: RunInputs, chats: dict, template: str) -> list[dict]:
    wrong, twice, last = [], [], []
    for name, rows in chats.items():
        for number, row in rows:
            roles = [message["role"] for message in row["messages"]]
            problem, severe = _order(roles, template)
            if problem:
                (wrong if severe else twice).append((name, number, problem))
            if roles[-1] != "assistant" and roles[-1] in ROLES:
                said = quoted(row["messages"][-1]["content"], 80)
                last.append((name, number, f"the last message is by {roles[-1]!r}: {said}"))
    fix = "Write rows as system (or none), then user and assistant in turn; extract again, or mend these rows."
    return [
        *rows_found(
            inputs,
            "data.roles",
            "error",
            wrong,
            "with roles that do not make a conversation",
            "The chat template writes any role as it stands, or refuses the row: the model learns turns that no app asks for.",
            fix,
        ),
        *rows_found(
            inputs,
            "data.roles",
            "warning",
            twice,
            "in which one side has two turns in a row",
            "Chat models were trained on turns that alternate; several templates (Gemma, Mistral) refuse anything else.",
            "Join the messages of one side into one turn, with line breaks.",
        ),
        *rows_found(
            inputs,
            "data.last_role",
            "error",
            last,
            "with somebody else than the assistant at the end",
            "mlx-lm trains on the last message whatever its role: the model learns to write the other person's texts.",
            "End every row with the owner's reply, with the role `assistant`.",
        ),
    ]


def _order(roles: list[str], template: str) -> tuple[str | None, bool]:
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


def _empty(inputs: RunInputs, chats: dict, labels: set[str]) -> list[dict]:
    replies, users = [], []
    for name, rows in chats.items():
        for number, row in rows:
            for at, message in enumerate(row["messages"], 1):
                content, role = message["content"], message["role"]
                if role == "assistant" and not characters.visible(content) and not message.get("tool_calls"):
                    replies.append((name, number, f"message {at}, by the assistant, is {quoted(content)}"))
                if role == "user" and (not characters.visible(content) or speakers.only_labels(content, labels)):
                    users.append((name, number, f"message {at}, by the user, is {quoted(content)}"))
    return [
        *rows_found(
            inputs,
            "data.empty_reply",
            "error",
            replies,
            "with an empty reply",
            "The model learns to end the turn at once, and to answer with nothing.",
            "Leave these rows out; an attachment or an unsent message often stands behind them.",
        ),
        *rows_found(
            inputs,
            "data.empty_user",
            "error",
            users,
            "with an empty user turn",
            "The reply answers something that is not there, so the model learns to answer regardless of the question.",
            "Leave these rows out, or put a placeholder such as [photo] where the message was an attachment.",
        ),
    ]
