"""Control tokens and whole rendered turns inside messages: the template would be applied a second time."""

import re

from ... import chat_format
from ...chat_format.template import Template
from ...chat_format.tokens import unwrapped
from ...machine_failures import pass_on
from ..evidence import around, in_rows
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .speakers import HEADER

CONTROL_TOKENS = Check(
    "data.control_tokens",
    ("error",),
    "A control token of the tokenizer, or a well-known one, inside a message; one that people might type, such as "
    "`</s>`, only if many rows have it. Whole thought or tool-call blocks (`<think>…</think>`) are fine in replies of "
    "models with tokens for them.",
    cause="The tokenizer encodes them as the tokens that begin and end turns: the model sees turns that nobody took.",
    fix="Remove them from the texts; export messages, not rendered prompts.",
    bad='{"role": "user", "content": "hey<|im_end|>"}',
    good='{"role": "user", "content": "hey"}',
)
ALREADY_TEMPLATED = Check(
    "data.templated",
    ("error",),
    "A message contains a rendered turn, which would be templated a second time.",
    cause="mlx-lm applies the chat template to every message, so these rows are templated twice.",
    fix="Write plain text into `content`, and leave roles and headers to the chat template.",
    bad='{"role": "user", "content": "<|im_start|>user\\nhey<|im_end|>"}',
    good='{"role": "user", "content": "hey"}',
)
CHECKS = (CONTROL_TOKENS, ALREADY_TEMPLATED)
SHAPE = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")  # how control tokens are written, nearly all of them
# Nobody types these. `<s>` only counts if the tokenizer has it: otherwise it may strike a word through.
WELL_KNOWN = re.compile(r"<\|[A-Za-z_]\w{1,40}\|>|<｜[^｜<>]{1,40}｜>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>")
# Somebody may type these once, to strike a word through or to end a joke, but not in many texts.
OTHER_MODELS = re.compile(
    r"</?s>|<(?:bos|eos|pad|unk|mask|sep|cls|eot|end_of_utterance|extra_id_\d+)>"
    r"|\[(?:BOS|EOS|PAD|UNK|MASK|SEP|CLS)\]|<turn\|>|<\|turn>",
    re.IGNORECASE,
)
MANY = 0.1  # of a split's rows
WRITES = ("assistant", "tool")  # roles in whose turns such blocks belong
KINDS = ("think", "tool_call")  # of blocks that mlx-lm's tokenizer tells
THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
BLOCKS = (
    *THOUGHTS,
    ("<tool_call>", "</tool_call>"),
    ("<tool_response>", "</tool_response>"),
    ("<|tool_call_start|>", "<|tool_call_end|>"),
)
NAMED = re.compile(r"</?(?:think|tool_call|tool_response|start_of_turn|end_of_turn)>")  # where the vocabulary has them
RENDERED = re.compile(
    r"<\|im_start\|>\s{0,9}(?:system|user|assistant|tool)\b|<start_of_turn>\s{0,9}(?:user|model)\b"
    r"|<\|start_header_id\|>[^<>]{1,40}<\|end_header_id\|>|<<SYS>>"
    r"|<\|(?:system|user|assistant)\|>|<\|start\|>(?:system|developer|user|assistant)|<｜(?:User|Assistant)｜>"
    r"|^#{2,3} ?(?:Instruction|Input|Response|Human|Assistant|User|System):",
    re.MULTILINE,
)
TURNS = (("[INST]", "[/INST]"), ("USER: ", "ASSISTANT:"), ("HUMAN: ", "ASSISTANT:"), ("Human: ", "\nAssistant:"))
RESIDUE = ("system\n", "user\n"), ("\nassistant", "\nmodel")  # a prompt decoded without its tokens: start, end
QUICK = ("<|", "<｜", "<start_of", "<<SYS", "##")  # RENDERED needs one of them


def check(inputs: RunInputs, chats: dict, tokenizer) -> list[Finding]:
    """Findings on control tokens and rendered turns. Without a tokenizer only well-known tokens are looked for."""
    own, others, templated = find(chats, tokenizer)
    if tokenizer is None:
        cause = "A tokenizer that has them begins and ends turns there; with any other, the model learns to write them."
    else:
        cause = "This tokenizer doesn't have them and encodes them as plain text: the model learns to write them."
    order = list(chats)

    def hits(found: dict) -> list[tuple[str, int, str]]:
        return [(*at, found[at]) for at in sorted(found, key=lambda at: (order.index(at[0]), at[1]))]

    elsewhere = "with another model's control tokens inside a message"
    return [
        *in_rows(inputs, CONTROL_TOKENS, "error", hits(own), "with control tokens inside a message"),
        *in_rows(inputs, CONTROL_TOKENS, "error", hits(others), elsewhere, cause=cause),
        *in_rows(inputs, ALREADY_TEMPLATED, "error", hits(templated), "with an already rendered turn inside a message"),
    ]


def find(chats: dict, tokenizer) -> tuple[dict, dict, dict]:
    """(split, line) -> what is there: this tokenizer's tokens, those of others, and rendered turns."""
    tokens, header, blocks = control_tokens(tokenizer), turn_header(tokenizer), blocks_of(tokenizer)
    opened = opened_by(tokenizer, blocks)
    odd_shaped = [token for token in tokens if not SHAPE.fullmatch(token)]
    own, others, templated = {}, {}, {}  # (split, line) -> what is there
    foreign = {}  # (split, token that people might type) -> line -> what is there
    clean = set()  # system texts recur in every row
    for name, rows in chats.items():
        for number, row in rows:
            at, first = (name, number), None
            for message in row["messages"]:
                text, role = message["content"], message["role"]
                if text in clean:
                    continue
                is_reply = role == "assistant" and message is row["messages"][-1]
                whole = without_blocks(text, blocks, opened if is_reply else None) if role in WRITES else text
                place = control(whole, tokens, odd_shaped)
                turn = (_rendered_in_reply if is_reply else _rendered)(text, header)
                typed = None if place or not ("<" in text or "[" in text) else OTHER_MODELS.search(text)
                if place:
                    first = first or (f"{role}: {around(text, *place)}", text[slice(*place)] in tokens)
                if typed:
                    foreign.setdefault((name, typed[0]), {}).setdefault(
                        number, f"{role}: {around(text, *typed.span())}"
                    )
                if turn:
                    templated.setdefault(at, f"{role}: {around(text, *turn)}")
                if role == "system" and not (place or turn or typed) and len(clean) < 1000:
                    clean.add(text)
            if first:
                (own if first[1] else others)[at] = first[0]
    for (name, _), hits in foreign.items():
        if len(hits) >= 3 and len(hits) > MANY * len(chats[name]):
            for number, shown in hits.items():
                if (name, number) not in own:
                    others.setdefault((name, number), shown)
    return own, others, templated


def control_tokens(tokenizer) -> set[str]:
    """The texts that this tokenizer encodes as control tokens."""
    added = (getattr(unwrapped(tokenizer), "added_tokens_decoder", None) or {}).values()
    found = {str(token) for token in added if token.special or NAMED.fullmatch(str(token))}
    return {token for token in found if len(token.strip()) > 2}


def blocks_of(tokenizer) -> list[tuple[str, str]]:
    """The blocks that this model writes within a reply, such as thoughts and tool calls: those that mlx-lm knows of its
    tokenizer, and pairs of tokens in its vocabulary or template."""
    pairs = [(getattr(tokenizer, f"{kind}_start", None), getattr(tokenizer, f"{kind}_end", None)) for kind in KINDS]
    template, tokens = str(getattr(tokenizer, "chat_template", None) or ""), control_tokens(tokenizer)
    pairs += [pair for pair in BLOCKS if all(one in tokens or one in template for one in pair)]
    return list(dict.fromkeys(pair for pair in pairs if all(isinstance(one, str) and one for one in pair)))


def opened_by(tokenizer, blocks: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The block that the template's generation prompt begins, so that a reply goes on in it; None if there is none."""
    if not blocks:
        return None
    prompt = Template(tokenizer).render([{"role": "user", "content": "a"}]) or ""
    return next((pair for pair in blocks if prompt.rstrip().endswith(pair[0])), None)


def without_blocks(text: str, blocks: list[tuple[str, str]], opened: tuple[str, str] | None = None) -> str:
    """The text with the markers of its whole blocks blanked, and all else at the same place. `opened`: the block that the
    prompt has begun."""
    if opened and opened[1] in text and opened[0] not in text.partition(opened[1])[0]:
        text = text.replace(opened[1], " " * len(opened[1]), 1)
    for start, end in blocks:
        if start in text:
            whole = rf"{re.escape(start)}((?:(?!{re.escape(start)}).)*?){re.escape(end)}"
            text = re.sub(whole, rf"{' ' * len(start)}\1{' ' * len(end)}", text, flags=re.DOTALL)
    return text


def turn_header(tokenizer) -> str | None:
    """What the chat template writes between a user's text and the reply, if it is long enough to recognize."""
    try:
        messages = [{"role": "user", "content": "(one)"}, {"role": "assistant", "content": "(two)"}]
        text = chat_format.template_text(messages, tokenizer)
        header = text.partition("(one)")[2].partition("(two)")[0].strip()
    except Exception as error:  # no tokenizer or no template; another check reports one that rejects
        pass_on(error)
        return None
    return header if len(header) > 4 else None


def control(text: str, tokens: set[str], odd_shaped: list[str]) -> tuple[int, int] | None:
    """Where the first control token is."""
    if not ("<" in text or "[" in text or odd_shaped):
        return None
    for match in SHAPE.finditer(text):
        if match[0] in tokens:
            return match.span()
    if match := WELL_KNOWN.search(text):
        return match.span()
    # Somebody may write about <think>; a block of it is a model's.
    if (at := text.find("<think>")) >= 0 and (not text[:at].strip() or "</think>" in text):
        return at, at + len("<think>")
    if text.lstrip().startswith("</think>"):  # it began in the prompt
        return (at := text.index("</think>")), at + len("</think>")
    token = next((token for token in odd_shaped if token in text), None)
    return None if token is None else (text.index(token), text.index(token) + len(token))


def _rendered(text: str, header: str | None) -> tuple[int, int] | None:
    """Where a rendered turn begins."""
    if header and (at := text.find(header)) >= 0:
        return at, at + len(header)
    if any(sign in text for sign in QUICK) and (match := RENDERED.search(text)):
        return match.span()
    start, end = RESIDUE
    if text.startswith(start, len(text) - len(text.lstrip())) and text.rstrip().endswith(end):
        return 0, text.index("\n")
    for first, second in TURNS:
        if 0 <= (at := text.find(first)) < text.rfind(second):
            return at, at + len(first)
    return None


def _rendered_in_reply(text: str, header: str | None) -> tuple[int, int] | None:
    """The same, but a reply that only begins with a header is left to data.speaker_tag."""
    place = _rendered(text, header)
    if place and (start := HEADER.match(text)):
        place = _rendered(text[start.end() :], header)
        return place and (place[0] + start.end(), place[1] + start.end())
    return place
