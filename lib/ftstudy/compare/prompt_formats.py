"""What can be wrong with a prompt, one thing at a time and in every combination.

A *format* is plain data: {"name", "faults"}, plus "profile" if it isn't a combination of faults, or "similar", the
examples for each (split, row), if each prompt has others.
An app's inference profile is split into its faults, so that the cost of each can be measured. If all
that is known are whole prompts, or if the profile's texts don't explain them, each prompt is read next to
training's (`prompt_pieces`): the format is `read`, and a fault is an aspect in which the two differ.
"""

from itertools import chain, combinations, product

from .. import chat_format
from ..errors import StudyError
from ..machine_failures import pass_on
from . import prompt_pieces

FAULTS = {
    "system": "a different system text from training",
    "no system": "no system message: the template inserts its default, if it has one",
    "user": "a different form of the user turn",
    "template": "control tokens hard-coded in the app instead of the tokenizer's chat template",
    "no template": "no chat template: the bare texts",
    "missing BOS": "the prompt without its beginning-of-sequence token",
    "doubled BOS": "two beginning-of-sequence tokens",
    "earlier turns": "different earlier turns",
    "header": "different markup around turns",
    "white space": "different white space between or within turns",
    "end": "the prompt ends earlier or later than the header of the reply",
    "unread": "the whole prompt of rows where the app doesn't write turns as the template does",
}
# Two faults of a group can't be combined. The first of each is what the original report's app did.
GROUPS = (("system", "no system"), ("user",), ("template", "no template"), ("missing BOS", "doubled BOS"))
ALIGNED = {"name": "aligned", "faults": []}
MOST = 4  # faults of a prompt that is read: all 2^k combinations are measured, so more are joined …
JOINED = ("missing BOS", "doubled BOS", "header", "white space", "end")  # … these, as "template"


def formats(app: dict, examples: list[dict], tokenizer, rows: list[tuple], every: bool = False) -> list[dict]:
    """The formats to compare: aligned, and every combination of the app's own faults.

    `app`: its inference profile. `rows`: each example's (split, row). The app's own prompt comes last, under its own
    name, and as a profile if it can't be split; `unread` counts the prompts that can't be read. `every`: append the
    combinations with all other faults, with the original report's texts.
    """
    complete = _split(app, examples, tokenizer, rows)
    made = [ALIGNED]
    if app["name"] != "aligned" or complete["faults"]:
        chosen = [one for one in _subsets(complete["faults"]) if 0 < len(one) < len(complete["faults"])]
        made += [_named(one, complete) for one in chosen] + [complete]
    if every:
        known, own = {tuple(one["faults"]) for one in made}, complete["own"]
        all_of_them = (tuple(filter(None, chosen)) for chosen in product(*((None, *group) for group in GROUPS)))
        others = [one for one in all_of_them if one not in known]
        if complete.get("read"):  # its faults are in texts that only the app writes, so no other can be added
            made += [_named(one, {"own": set()}) for one in others if own.isdisjoint(one)]
        else:
            made += [_named(one, {"own": own}) for one in others]
    return made


def _split(app: dict, examples: list[dict], tokenizer, rows: list[tuple]) -> dict:
    """The app's own prompt as a format: as its faults if they explain all of it, else as a profile."""
    own = set().union(*(parts(app, example, row, tokenizer) for example, row in zip(examples, rows)))
    whole = {"name": app["name"], "faults": [], "own": own, "profile": app}
    named = _named(sorted(own, key=list(FAULTS).index), {"own": own}) | {"name": app["name"]}
    if app["name"] == "aligned" or own and _same(named, whole, app, examples, tokenizer, rows):
        return named
    aspects = [_aspects(app, example, tokenizer, row) for example, row in zip(examples, rows)]
    own, unread = set().union(*aspects), aspects.count({"unread"})
    if len(own) > MOST and len(own & set(JOINED)) > 1:
        own = own - set(JOINED) | {"template"}
    read = _named(sorted(own, key=list(FAULTS).index), {"own": own, "read": True})
    read |= {"name": app["name"], "unread": unread}
    is_split = own - {"unread"} and _same(read, whole, app, examples, tokenizer, rows)
    return read if is_split else whole | {"unread": unread}


def distinct(
    formats: list[dict], app: dict, heldout: dict, tokenizer, owner: str
) -> tuple[list[dict], dict[str, str], dict[str, str]]:
    """The formats with distinct tokens; for each other format the name of the one it equals; and for those that can't
    be rendered, why: the template may reject a system message, or the app's function may fail."""
    ranked = sorted(formats, key=lambda one: (one["name"] != "aligned", one["name"] != app["name"]))
    first, same, refused = {}, {}, {}
    for one in ranked:
        try:
            asked = tuple(map(tuple, prompts(heldout, tokenizer, one, app, owner)))
        except Exception as error:  # a chat template can raise anything
            pass_on(error)
            text = " ".join(str(error).split())
            refused[one["name"]] = text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"
            continue
        if first.setdefault(asked, one["name"]) != one["name"]:
            same[one["name"]] = first[asked]
    return [one for one in formats if one["name"] not in same and one["name"] not in refused], same, refused


def few_shot(shots: list[dict]) -> dict:
    """The aligned format with examples as earlier turns of the prompt."""
    profile = {"kind": "messages", "shots": shots}
    return {"name": f"aligned, {len(shots)} examples", "faults": [], "profile": profile, "shots": len(shots)}


def _named(faults, complete: dict) -> dict:
    """Some of the faults of a prompt; `complete`: the format with all of them. Its `own` faults are put in as the app
    has them, any others as the original report's app had them."""
    kept = {key: complete[key] for key in ("own", "read") if key in complete}
    return {"name": " + ".join(faults), "faults": list(faults), **kept}


def _subsets(items: list) -> list[tuple]:
    return list(chain.from_iterable(combinations(items, count) for count in range(len(items) + 1)))


def parts(app: dict, example: dict, where: tuple[str, int], tokenizer=None) -> set[str]:
    """The faults that an app's texts or messages show; empty if the app only returns whole prompts."""
    if app["kind"] == "template":
        ours, theirs = example["messages"][:-1], _app_messages(app, example, where)
        written = {"system": "{system}", "user": app.get("user") or "{user}"}
        return {"template"} | {
            role
            for role, text in written.items()
            if app.get(role) and text in app["template"] and _content(ours, role) != _content(theirs, role)
        }
    try:
        theirs = _app_messages(app, example, where, tokenizer)
    except StudyError:
        return set()
    if theirs is None:
        return set()
    ours = example["messages"][:-1]
    found = {role for role in ("system", "user") if _content(ours, role) != _content(theirs, role)}
    return found - {"system"} | {"no system"} if "system" in found and _content(theirs, "system") is None else found


def prompt_ids(
    example: dict, tokenizer, one: dict, app: dict, where: tuple[str, int] | None = None, owner: str = ""
) -> list[int]:
    """Token ids of the prompt under a format. Raises StudyError, or anything that the chat template raises."""
    if "similar" in one:  # other examples for each row
        one = few_shot(one["similar"][where])
    if "profile" in one:
        return chat_format.prompt_ids(example, tokenizer, one["profile"], where)
    if one.get("read"):
        return _read_ids(example, tokenizer, one, app, where)
    faults, messages = set(one["faults"]), [dict(message) for message in example["messages"][:-1]]
    if faults & {"system", "user"}:
        messages = _with(messages, faults, one.get("own", ()), example, app, where, owner, tokenizer)
    if "no system" in faults:
        messages = [message for message in messages if message["role"] != "system"]
    if "template" in faults:
        ids = chat_format.encode_prompt(_written_out(messages, faults, example, app), tokenizer)
    elif "no template" in faults:
        ids = chat_format.encode_prompt(
            "\n\n".join(chat_format.text_of(message) for message in messages) + "\n", tokenizer
        )
    else:
        ids = chat_format.encoded(messages, tokenizer, example.get("tools"))
    return _with_bos(ids, faults, tokenizer)


def prompts(heldout: dict, tokenizer, one: dict, app: dict, owner: str = "") -> list[list[int]]:
    """`prompt_ids` of each held-out row; raises as it does."""
    rows = zip(heldout["examples"], heldout["places"])
    return [prompt_ids(example, tokenizer, one, app, where, owner) for example, where in rows]


def _aspects(app: dict, example: dict, tokenizer, where) -> set[str]:
    """The aspects in which the app's prompt differs from training's; none if it fails, which `distinct` reports."""
    try:
        return {piece.aspect for piece in prompt_pieces.of_prompt(example, tokenizer, app, where)} - {""}
    except Exception as error:  # a chat template can raise anything
        pass_on(error)
        return set()


def _read_ids(example: dict, tokenizer, one: dict, app: dict, where) -> list[int]:
    """The prompt of training with some aspects as the app has them. Raises StudyError if the prompts differ in
    others too, as they may for another model."""
    chosen, own = ({*some, *(JOINED if "template" in some else ())} for some in (one["faults"], one["own"]))
    found = prompt_pieces.of_prompt(example, tokenizer, app, where)
    if others := {piece.aspect for piece in found} - own - {""}:
        raise StudyError(
            f"For this model's chat template the app's prompt also differs in other aspects ({', '.join(sorted(others))}), "
            "so its cost is not split."
        )
    return prompt_pieces.joined(found, chosen, tokenizer)


def _with(messages: list[dict], faults: set, own, example: dict, app: dict, where, owner: str, tokenizer) -> list[dict]:
    """Messages with the app's system text, user turn, or both; the original report's if the app lacks that fault."""
    theirs = _app_messages(app, example, where, tokenizer) or []
    reported = chat_format.messages_for(example, chat_format.named_profiles(owner)["historical"])[:-1]
    for role in faults & {"system", "user"}:
        ours = _content(messages, role)
        offered = _content(theirs if role in own else reported, role)
        content = ours if offered is None else offered
        if role == "system":
            messages = [{"role": role, "content": content}] + [one for one in messages if one["role"] != role]
        else:
            last = next((one for one in reversed(messages) if one["role"] == role), {})
            last |= {"content": content}
    return messages


def _app_messages(app: dict, example: dict, where, tokenizer=None) -> list[dict] | None:
    if app["kind"] == "template":
        return chat_format.messages_for(example, app)[:-1]
    if app["kind"] in ("ollama", "gguf"):
        return None  # the server renders the app's messages with a template of its own
    prompt = chat_format.prompt_of(example, app, where, tokenizer)
    return prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict) else None


def _content(messages: list[dict], role: str) -> str | None:
    return next((chat_format.text_of(message) for message in reversed(messages) if message["role"] == role), None)


def _written_out(messages: list[dict], faults: set, example: dict, app: dict) -> str:
    """The prompt with hard-coded control tokens: the app's own, or the original report's ChatML."""
    if app["kind"] != "template" or "no system" in faults:
        turns = [f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages]
        return "".join(turns) + "<|im_start|>assistant\n"
    user = app.get("user") if app.get("user") and app["user"] in app["template"] else None
    pieces = app["template"].split(user) if user else [app["template"]]
    turns = [one for one in messages if one["role"] == "system"]
    turns += [one for one in example["messages"] if one["role"] != "system"]
    filled = [chat_format.fill(piece, example | {"messages": turns}, app | {"system": None}) for piece in pieces]
    return (_content(messages, "user") or "").join(filled)


def _with_bos(ids: list[int], faults: set, tokenizer) -> list[int]:
    """The BOS faults apply only if the tokenizer itself starts a text with BOS."""
    bos = tokenizer.bos_token_id
    if bos is None or list(tokenizer.encode("x"))[0] != bos:
        return ids
    if "missing BOS" in faults and ids[:1] == [bos]:
        return ids[1:]
    return [bos, *ids] if "doubled BOS" in faults and ids[:1] == [bos] else ids


def _same(left: dict, right: dict, app: dict, examples, tokenizer, rows) -> bool:
    try:
        return all(
            prompt_ids(example, tokenizer, left, app, row) == prompt_ids(example, tokenizer, right, app, row)
            for example, row in zip(examples, rows)
        )
    except Exception as error:  # a chat template can raise anything; `distinct` reports it
        pass_on(error)
        return False
