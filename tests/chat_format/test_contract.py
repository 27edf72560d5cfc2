"""The contract that a clean audit writes: prompts, tokenizer and model are checked against it."""

import hashlib
import json
import random
import shutil
from datetime import datetime
from itertools import cycle
from types import SimpleNamespace

import pytest
from conftest import refused
from ftstudy import audit, chat_format
from ftstudy.audit import contract_writer, parity, run_inputs
from ftstudy.chat_format import contract, identity, user_form
from ftstudy.chat_format.tokens import encode
from ftstudy.models import base_models
from templates import FAMILIES, PROMPT, TOKENIZERS, TURNS, tokenizer_folder

SYSTEM = "You are Sam. Reply to text messages the way Sam texts."


def conversation(number, turns=1, system=SYSTEM):
    messages = [{"role": "system", "content": system}] if system else []
    for turn in range(turns):
        text = f"Contact: hey {number}.{turn} {'👩‍👩‍👧' if number == 6 else ''}\n\nSam: yo"
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": f"ok {number}.{turn}"}]
    return {"messages": messages}


@pytest.fixture
def study(tmp_path, write_split):
    """study(family) -> what an audit has read: conversations of one turn, and one of three."""

    def read(name):
        system = None if name == "gemma" else SYSTEM
        rows = [conversation(number, 3 if number == 4 else 1, system) for number in range(12)]
        tokenizer_folder(name, tmp_path / "model")
        write_split(tmp_path / "data", "train", rows)
        (tmp_path / "config.yaml").write_text(f"model: {tmp_path / 'model'}\ndata: {tmp_path / 'data'}\n")
        return run_inputs.read(tmp_path / "config.yaml")

    return read


@pytest.fixture
def written(study, tmp_path):
    """written(family) -> (contract, tokenizer)"""

    def write(name):
        audited = study(name)
        contract_writer.write(audited, audit.report(parity.check(audited))["findings"], tmp_path / "adapter")
        return contract.load(tmp_path / "adapter"), audited.tokenizer

    return write


@pytest.mark.parametrize("name", TOKENIZERS)
def test_training_prompts_pass_in_all_three_forms(written, name):
    agreed, tokenizer = written(name)
    assert contract.verify(agreed, tokenizer) == []
    assert agreed["markup"]
    system = None if name == "gemma" else SYSTEM
    for row in (conversation(99, 1, system), conversation(98, 2, system), conversation(97, 5, system)):
        messages = row["messages"][:-1]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        for prompt in (messages, text, tokenizer.encode(text, add_special_tokens=False)):
            assert chat_format.check_prompt(agreed, prompt, tokenizer) == []
        assert chat_format.check_prompt(agreed, messages, tokenizer._tokenizer) == []  # transformers' own


def test_five_golden_conversations_with_a_long_one_and_an_emoji(written):
    agreed, tokenizer = written("llama3")
    golden = agreed["golden"]
    assert len(golden) == 5
    assert any(len(item["messages"]) == 7 for item in golden)
    assert any("👩‍👩‍👧" in message["content"] for item in golden for message in item["messages"])
    for item in golden:
        assert item["training_ids"][: len(item["prompt_ids"])] == item["prompt_ids"]
        assert item["prompt_ids"] == chat_format.prompt_ids(item, tokenizer)
    assert agreed["system"] == [SYSTEM] and agreed["mlx_lm"]


OTHER_SYSTEM, OTHER_SPACE = "Its system text is not", "Its system text has other white space than in training: "
STARTS, INSIDE = "It begins with {} start tokens (<|startoftext|>); training began with 1.", "The {} turn contains "
BROKEN = {  # what is done to a right prompt, and how the problems begin
    "different system text": (lambda text: text.replace("You are Sam.", "You are a founder."), [OTHER_SYSTEM]),
    "longer system text": (lambda text: text.replace(SYSTEM, SYSTEM + " Be nice."), [OTHER_SYSTEM]),
    "line break after the system text": (
        lambda text: text.replace(SYSTEM, SYSTEM + "\n"),
        [OTHER_SPACE + repr("\n") + " instead of ''"],
    ),
    "space before the system text": (
        lambda text: text.replace(SYSTEM, " " + SYSTEM),
        [OTHER_SPACE + "' You are Sam. Reply ' instead of 'You are Sam. Reply t'"],
    ),
    "no header": (lambda text: text.removesuffix("<|im_start|>assistant\n"), [INSIDE.format("user") + "<|im_end|>"]),
    "a prefilled reply": (lambda text: text + "Sam:", ["It ends with "]),
    "another role": (
        lambda text: text.replace("<|im_start|>user", "<|im_start|>human"),
        [OTHER_SYSTEM, INSIDE.format("system")],
    ),
    "no line break": (
        lambda text: text.replace("<|im_end|>\n", "<|im_end|>"),
        [OTHER_SYSTEM, INSIDE.format("system")],
    ),
    "no start token": (lambda text: text.removeprefix("<|startoftext|>"), [STARTS.format(0)]),
    "two start tokens": (lambda text: "<|startoftext|>" + text, [STARTS.format(2)]),
    "no system turn": (
        lambda text: "<|startoftext|><|im_start|>user" + text.partition("<|im_start|>user")[2],
        ["It begins with '<|im_start|>user\\nContact"],
    ),
    "other markup": (
        lambda text: "### Instruction:\nhi\n### Response:\n",
        [STARTS.format(0), "It begins with '### Instruction:"],
    ),
    "nothing": (lambda text: "", ["The prompt cannot be turned into token ids: No prompt from the app: []"]),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_wrong_prompts_are_reported(written, fault):
    agreed, tokenizer = written("chatml_bos")
    right = tokenizer.apply_chat_template(conversation(50)["messages"][:-1], add_generation_prompt=True, tokenize=False)
    assert chat_format.check_prompt(agreed, tokenizer.encode(right, add_special_tokens=False), tokenizer) == []
    change, expected = BROKEN[fault]
    found = chat_format.check_prompt(agreed, tokenizer.encode(change(right), add_special_tokens=False), tokenizer)
    assert len(found) == len(expected)
    assert all(line.startswith(beginning) for line, beginning in zip(found, expected)), found


def test_known_system_text_may_contain_the_markup_between_turns(written):
    agreed, tokenizer = written("chatml")
    agreed |= {
        "markup": {"|system": ["S:"], "system|user": ["\n\n"], "user|": ["\n\nA:"]},
        "system": ["Be", "Be Sam.\n\nAnd nice."],
    }
    assert chat_format.check_prompt(agreed, "S:Be Sam.\n\nAnd nice.\n\nhey\n\nA:", tokenizer) == []
    (found,) = chat_format.check_prompt(agreed, "S:Be Tom.\n\nAnd nice.\n\nhey\n\nA:", tokenizer)
    assert found == "Its system text is not the one from training: 'Be Tom.'…"


def test_many_system_texts_are_not_compared(written):
    agreed, tokenizer = written("chatml")
    messages = conversation(50, 1, "Something else.")["messages"][:-1]
    assert chat_format.check_prompt(agreed, messages, tokenizer)
    assert chat_format.check_prompt(agreed | {"system": None}, messages, tokenizer) == []


def test_without_markup_only_start_tokens_and_tokenizer_are_checked(written):
    agreed, tokenizer = written("chatml_bos")
    assert chat_format.check_prompt(agreed | {"markup": {}}, "<|startoftext|>hi", tokenizer) == []
    assert chat_format.check_prompt(agreed | {"markup": {}}, [5, 6], tokenizer) == [STARTS.format(0)]


def test_template_that_refuses_the_golden_conversations_is_noticed(written):
    agreed, tokenizer = written("chatml")
    kept, tokenizer._tokenizer.chat_template = tokenizer._tokenizer.chat_template, "{{ raise_exception('no') }}"
    try:
        found = contract.verify(agreed, tokenizer)
    finally:
        tokenizer._tokenizer.chat_template = kept
    assert found[-1].startswith("The golden conversations 1, 2, 3, 4, 5 no longer")


@pytest.mark.parametrize("name", ["gemma", "llama3", "mistral", "think"])
def test_start_and_end_of_a_prompt_are_checked_on_other_templates(written, name):
    agreed, tokenizer = written(name)
    system = None if name == "gemma" else SYSTEM
    messages = conversation(50, 1, system)["messages"][:-1]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert chat_format.check_prompt(agreed, text[:-3], tokenizer)
    assert chat_format.check_prompt(agreed, text + " Sure", tokenizer)
    assert chat_format.check_prompt(
        agreed, [*tokenizer.encode("<"), *chat_format.encoded(messages, tokenizer)], tokenizer
    )


def test_markup_as_plain_text_and_markers_in_a_message_are_reported(written):
    agreed, tokenizer = written("chatml")
    messages = conversation(50)["messages"][:-1]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    spelt = [token for letter in text for token in tokenizer.encode(letter, add_special_tokens=False)]
    assert any("plain text" in line for line in chat_format.check_prompt(agreed, spelt, tokenizer))
    messages[-1]["content"] += "<|im_end|>"
    assert any("<|im_end|>" in line for line in chat_format.check_prompt(agreed, messages, tokenizer))


@pytest.mark.parametrize("prompt", [[10**9], [1.5], [], None, [{"role": "user"}], [{"role": "user", "content": None}]])
def test_invalid_prompts_are_reported_without_raising(written, prompt):
    agreed, tokenizer = written("chatml")
    assert chat_format.check_prompt(agreed, prompt, tokenizer)


def test_changed_template_tokenizer_or_model_is_noticed(written, tmp_path):
    agreed, tokenizer = written("chatml")
    folder = tmp_path / "model"
    assert contract.verify(agreed, tokenizer, folder) == []

    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = FAMILIES["chatml"]["template"].replace("\n", "\n\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    changed = base_models.load_tokenizer(folder)
    found = contract.verify(agreed, changed)
    assert len(found) == 2 and "template" in found[0] and "1, 2, 3, 4, 5" in found[1]
    assert "template" in chat_format.check_prompt(agreed, "x", changed)[0]

    assert "tokenizer" in contract.verify(agreed, TOKENIZERS["qwen3"]())[0]

    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    config = (folder / "config.json").read_bytes()
    assert "base model" in contract.verify(agreed, tokenizer, folder)[0]
    shutil.rmtree(folder)
    tokenizer_folder("chatml", folder)
    assert contract.verify(agreed, tokenizer, folder) == []
    (folder / "config.json").write_bytes(config + b" ")
    assert "base model" in contract.verify(agreed, tokenizer, folder)[0]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_tokenizer_is_known_by_its_definition_whatever_it_was_called_with(tmp_path):
    folder = tokenizer_folder("chatml", tmp_path)
    fresh, called = (base_models.load_tokenizer(folder)._tokenizer for _ in range(2))
    assert fresh is not called
    called(["a", "longer one"], padding=True, truncation=True, max_length=3)
    definition = json.loads(fresh.backend_tokenizer.to_str())
    assert definition.pop("padding") is definition.pop("truncation") is None
    expected = {"tokens": len(fresh), "sha256": sha256(json.dumps(definition, sort_keys=True))}
    assert identity.tokenizer_identity(called) == {"class": type(fresh).__name__} | expected


def test_a_tokenizer_without_a_definition_is_known_by_its_vocabulary():
    class Slow(dict):
        __hash__ = object.__hash__

        def get_vocab(self):
            return dict(self)

    found = identity.tokenizer_identity(Slow(b=1, a=0))
    assert found == {"class": "Slow", "tokens": 2, "sha256": sha256('[["a", 0], ["b", 1]]')}


def test_templates_by_name_are_known_in_any_order():
    first, second = ({"default": "x", "tools": "y"}, {"tools": "y", "default": "x"})
    assert len({identity.template_identity(SimpleNamespace(chat_template=one)) for one in (first, second)}) == 1


def test_weights_are_known_by_their_header_and_sixteen_pieces(tmp_path):
    content = (1000).to_bytes(8, "little") + random.Random(0).randbytes(200_000)
    (tmp_path / "model.safetensors").write_bytes(content)
    pieces = [content[len(content) * at // 16 :][:4096] for at in range(16)]
    digest = hashlib.sha256(content[:1008] + b"".join(pieces)).hexdigest()
    weights = [{"file": "model.safetensors", "bytes": 200_008, "sha256": digest}]
    assert identity.model_identity(tmp_path) == {"config_sha256": None, "weights": weights}
    assert identity.model_identity(None) is None


def test_audit_with_errors_writes_no_contract(study, tmp_path):
    audited = study("chatml")
    found = [{"check": "parity.bos", "severity": "error"}, {"check": "data.x", "severity": "warning"}]
    refused(lambda: contract_writer.write(audited, found, tmp_path / "adapter"), "parity.bos", "audit again")
    assert not (tmp_path / "adapter").exists()
    assert contract_writer.write(audited, found[1:], tmp_path / "adapter") == tmp_path / "adapter" / contract.NAME


def test_data_without_conversations_has_no_contract(study, tmp_path):
    study("chatml")
    (tmp_path / "data" / "train.jsonl").write_text('{"text": "hi"}\n')
    refused(
        lambda: contract_writer.write(run_inputs.read(tmp_path / "config.yaml"), [], tmp_path / "adapter"),
        "conversation",
    )


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 99}', "\ud800"])
def test_missing_or_damaged_contract_is_an_error(tmp_path, text):
    if text is not None:
        (tmp_path / contract.NAME).write_text(text, errors="surrogatepass")
    refused(lambda: contract.load(tmp_path), contract.NAME, "audit")


@pytest.mark.parametrize("key", [name for name, field in contract.Contract.model_fields.items() if field.is_required()])
def test_contract_with_a_missing_or_wrong_key_is_refused(written, tmp_path, key):
    agreed, _ = written("chatml")
    path = tmp_path / "adapter" / contract.NAME
    assert contract.load(path.parent) == agreed
    for changed in (
        {name: value for name, value in agreed.items() if name != key},
        agreed | {key: 5 if key != "starts" else "5"},
    ):
        path.write_text(json.dumps(changed))
        refused(lambda: contract.load(path.parent), contract.NAME, "audit")


def test_token_ids_may_be_an_array(written):
    import mlx.core as mx

    agreed, tokenizer = written("chatml")
    ids = chat_format.encoded(conversation(50)["messages"][:-1], tokenizer)
    assert chat_format.check_prompt(agreed, mx.array(ids), tokenizer) == []


def test_git_ignores_only_the_contract(written, tmp_path):
    written("chatml")
    assert (tmp_path / "adapter" / ".gitignore").read_text() == f"{contract.NAME}\n"


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"adapter_path": ""}, "adapter_path"),
        ({"adapter_path": "/dev/null/x"}, "cannot be written"),
        ({"hf_dataset": {"path": "a/b"}}, "hf_dataset"),
    ],
)
def test_message_says_why_no_contract_was_written(study, changes, word):
    audited = study("chatml")
    audited.config.update(changes)
    audited.profile = chat_format.load_profile("aligned")
    found = contract_writer.offer(audited, [])
    assert found.startswith(f"No {contract.NAME} was written") and word in found


def test_an_audit_without_an_app_writes_no_contract(study):
    found = contract_writer.offer(study("chatml"), [])
    assert "no app was compared" in found and "--inference" in found


# --- the form of the user turn -----------------------------------------------------------------


CHAT = [f"{text} {number}" for number in range(12) for text in ("hey, are you coming", "note: buy milk", "see you\nat")]
WRAPS = {
    "context": "Context:\n{}\n\nLast Message: ok",
    "tags": "<conversation>\n{}\n</conversation>",
    "instruction": "### Instruction\n{}",
    "answer": "{}\n\nReply as Sam:",
}


@pytest.fixture
def agreed(tmp_path, write_split):
    """agreed(user turns) -> (contract, tokenizer) of rows with these user turns, and these system texts in turn"""

    def write(turns, name="chatml", systems=(None,)):
        rows = [
            {"messages": [*asked(turn, system), {"role": "assistant", "content": "ok"}]}
            for turn, system in zip(turns, cycle(systems))
        ]
        tokenizer_folder(name, tmp_path / "model")
        write_split(tmp_path / "data", "train", rows)
        (tmp_path / "config.yaml").write_text(f"model: {tmp_path / 'model'}\ndata: {tmp_path / 'data'}\n")
        audited = run_inputs.read(tmp_path / "config.yaml")
        return contract_writer.build(audited), audited.tokenizer

    return write


def asked(turn, system=None):
    return ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": turn}]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapped_user_turn_is_reported(agreed, wrap):
    made, tokenizer = agreed(CHAT)
    assert chat_format.check_prompt(made, asked("hello there"), tokenizer) == []
    assert chat_format.check_prompt(made, asked("two\nlines: of text"), tokenizer) == []
    found = chat_format.check_prompt(made, asked(WRAPS[wrap].format("hello there")), tokenizer)
    assert found and all("user turn" in one and "the app wraps it" in one for one in found)


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_user_turn_without_the_wrapper_of_training_is_reported(agreed, wrap):
    made, tokenizer = agreed([WRAPS[wrap].format(turn) for turn in CHAT])
    assert chat_format.check_prompt(made, asked(WRAPS[wrap].format("hello there")), tokenizer) == []
    assert "training's" in " ".join(chat_format.check_prompt(made, asked("hello there"), tokenizer))


def test_few_user_turns_say_nothing_about_their_form(agreed):
    made, tokenizer = agreed(CHAT[:5])
    assert made["user"] is None
    assert chat_format.check_prompt(made, asked("Context:\nhello"), tokenizer) == []


def test_the_form_of_user_turns_is_what_all_of_them_share():
    form = user_form.learned([f"Ann: h{number}\n\nReply as Sam:" for number in range(20)])
    assert form == {"prefix": "Ann: ", "suffix": "\n\nReply as Sam:", "first": [], "last": ["Reply as Sam:"]}
    begins, ends = user_form.problems(form, "x" * 50 + "y" * 40)
    assert f"begins with '{'x' * 40}', where all of training's begin with 'Ann:'" in begins
    assert f"ends with '{'y' * 40}', where all of training's end with 'Reply as Sam:'" in ends


def test_a_template_that_adds_a_system_text_to_rows_without_one(agreed):
    made, tokenizer = agreed(CHAT, "smollm2", systems=(None, SYSTEM))
    assert chat_format.check_prompt(made, asked("hello"), tokenizer) == []
    assert chat_format.check_prompt(made, asked("hello", SYSTEM), tokenizer) == []
    (found,) = chat_format.check_prompt(made, asked("hello", "You are Max."), tokenizer)
    assert found.startswith("Its system text is not the one from training: 'You are Max.'")


# --- templates that write the date ---------------------------------------------------------------


def test_a_contract_holds_on_other_days(agreed, tmp_path):
    agreed(CHAT)
    settings = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    settings["chat_template"] = (
        "{{ '<|im_start|>system\\nToday is ' + strftime_now('%d %b %Y') + '<|im_end|>\\n' }}" + TURNS + PROMPT
    )
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    audited = run_inputs.read(tmp_path / "config.yaml")
    made, tokenizer = contract_writer.build(audited), audited.tokenizer
    assert made["date"]["formats"] == ["%d %b %Y"] and made["markup"]
    today, long_ago = datetime.fromisoformat(made["date"]["day"]), datetime(2019, 3, 4, 12)
    day, then = (date.strftime("%d %b %Y") for date in (today, long_ago))
    older = json.loads(json.dumps(made).replace(day, then))
    older["date"]["day"] = long_ago.isoformat()
    for item in older["golden"]:  # as a build on that day would have written them
        for key, messages in (("prompt_ids", item["messages"][:-1]), ("training_ids", item["messages"])):
            text = chat_format.template_text(messages, tokenizer, prompt=key == "prompt_ids")
            item[key] = encode([text.replace(day, then)], tokenizer)[0].tolist()
    for one in (made, older):
        assert contract.verify(one, tokenizer) == []
        assert chat_format.check_prompt(one, asked("hello"), tokenizer) == []
    text = chat_format.template_text(asked("hello"), tokenizer, prompt=True).replace("Today is", "The day is")
    assert chat_format.check_prompt(older, text, tokenizer)
