"""Modelfiles and GGUF files: what is read from them, and the prompts that Ollama and llama.cpp build."""

import contextlib
import struct
import tempfile
from pathlib import Path

import gguf as independent
import pytest
from conftest import example, refused
from ftstudy import chat_format
from ftstudy.chat_format import gguf, modelfile, ollama
from ftstudy.errors import StudyError
from hypothesis import given, settings
from hypothesis import strategies as st
from served_models import CHATML_MESSAGES, CHATML_ONCE, GEMMA, write_gguf
from templates import TOKENIZERS

TURNS = {
    "messages": [
        {"role": "system", "content": "Be Sam."},
        {"role": "user", "content": "hey"},
        {"role": "assistant", "content": "yo"},
        {"role": "user", "content": "dinner?"},
        {"role": "assistant", "content": "yes"},
    ]
}


def written(folder, text):
    path = folder / "Modelfile"
    path.write_text(text, encoding="utf-8")
    return path


def of_template(template, system="Be Sam.", start="FROM robin"):
    return f'{start}\nSYSTEM "{system}"\nTEMPLATE """{template}"""\nPARAMETER stop "<|im_end|>"\n'


def test_every_instruction_is_read(tmp_path):
    text = """\
# what Robin runs
FROM ./robin.gguf
system \"\"\"Be Robin.
Be brief.\"\"\"
TEMPLATE "{{ .Prompt }}"
PARAMETER stop "<|im_end|>"
PARAMETER stop User:
parameter num_ctx 256
MESSAGE user hi there
MESSAGE assistant "yo"
ADAPTER ./robin-lora.gguf
LICENSE \"\"\"
MIT
\"\"\"
"""
    served = modelfile.read(written(tmp_path, text))
    notes = served.pop("notes")
    assert served == {
        "template": "{{ .Prompt }}",
        "system": "Be Robin.\nBe brief.",
        "messages": [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": "yo"}],
        "parameters": {"stop": ["<|im_end|>", "User:"], "num_ctx": ["256"]},
        "stop": ["<|im_end|>", "User:"],
        "from": "./robin.gguf",
        "gguf": None,
    }
    assert [note.split()[0] for note in notes] == ["SYSTEM", "./robin.gguf", "ADAPTER"]


def test_notes_say_what_the_file_leaves_open(tmp_path):
    system, vocabulary = modelfile.read(written(tmp_path, "FROM robin\nTEMPLATE x\n"))["notes"]
    assert system.startswith("There is no SYSTEM.") and vocabulary.startswith("robin is not a GGUF file")


@pytest.mark.parametrize("name, found", [("app.txt", True), ("app", True), ("app.yaml", False), ("app.json", False)])
def test_a_file_of_another_name_is_a_modelfile_if_it_begins_like_one(name, found, tmp_path):
    (tmp_path / name).write_text("# mine\nfrom robin\n")
    assert modelfile.is_modelfile(tmp_path / name) is found


@pytest.mark.parametrize(
    "text, words",
    [
        ("TEMPLATE x\n", ["no FROM line"]),
        ("FROM robin\nTEMPLAT x\n", ["line 2", "'TEMPLAT x'"]),
        ('FROM robin\nTEMPLATE """x\n', ["line 2", "TEMPLATE", "not closed"]),
        ("FROM robin\nMESSAGE human hi\n", ["line 2", "'human'"]),
        ("FROM robin\n", ["no TEMPLATE", "ollama show"]),
        ("FROM robin\nRENDERER qwen3\n", ["RENDERER qwen3", "ftstudy record"]),
        ('FROM robin\nTEMPLATE """{{ template "x" }}"""\n', ["{{ template }}"]),
    ],
)
def test_what_is_not_known_is_refused(text, words, tmp_path):
    path = written(tmp_path, text)
    refused(lambda: chat_format.prompt_of(TURNS, chat_format.load_profile(path)), *words)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "Modelfile"
    path.write_bytes(b"FROM \xff\xfe")
    refused(lambda: chat_format.load_profile(path), "Modelfile", "UTF-8")


@pytest.mark.parametrize("template", [CHATML_ONCE, CHATML_MESSAGES])
@pytest.mark.parametrize("row", [example("Be Sam."), TURNS])
def test_right_template_gives_the_prompt_of_training(template, row, tmp_path):
    tokenizer = TOKENIZERS["chatml"]()
    profile = chat_format.load_profile(written(tmp_path, of_template(template)))
    assert profile["kind"] == "ollama" and profile["name"] == "Modelfile"
    assert chat_format.prompt_ids(row, tokenizer, profile) == chat_format.prompt_ids(row, tokenizer)


@pytest.mark.parametrize("template", [CHATML_ONCE, CHATML_MESSAGES])
def test_neighbours_of_one_role_and_the_files_own_messages(template, tmp_path):
    served = modelfile.read(written(tmp_path, of_template(template) + "MESSAGE user a\nMESSAGE assistant b\n"))
    text = ollama.prompt(served, [{"role": "user", "content": "c"}, {"role": "user", "content": "d"}])
    turns = [("system", "Be Sam."), ("user", "a"), ("assistant", "b"), ("user", "c\n\nd")]
    written_out = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
    assert text == written_out + "<|im_start|>assistant\n"


def test_a_system_message_of_the_app_replaces_the_files(tmp_path):
    path = written(tmp_path, of_template(CHATML_ONCE, "Be nobody."))
    asked = chat_format.load_profile({"kind": "ollama", "file": str(path), "system": "{system}"})
    tokenizer = TOKENIZERS["chatml"]()
    assert chat_format.prompt_ids(TURNS, tokenizer, asked) == chat_format.prompt_ids(TURNS, tokenizer)
    silent = chat_format.load_profile(path)
    assert "Be nobody." in chat_format.prompt_of(TURNS, silent, tokenizer=tokenizer)


def test_what_is_after_the_reply_is_left_out_also_within_a_condition(tmp_path):
    template = "{{ if .Prompt }}Q: {{ .Prompt }}\nA: {{ .Response }}\n{{ else }}no{{ end }}END"
    served = modelfile.read(written(tmp_path, of_template(template)))
    assert ollama.prompt(served, TURNS["messages"][1:-1]) == "Q: hey\nA: yo\nENDQ: dinner?\nA: "


def test_template_without_a_response_gets_one_at_its_end(tmp_path):
    served = modelfile.read(written(tmp_path, of_template("Q: {{ .Prompt }} A: ")))
    assert ollama.prompt(served, TURNS["messages"][1:-1]) == "Q: hey A: yoQ: dinner? A: "


def test_profile_is_found_from_the_current_folder_or_next_to_it(tmp_path, monkeypatch):
    written(tmp_path, of_template(CHATML_ONCE))
    (tmp_path / "app.yaml").write_text("kind: ollama\nfile: Modelfile\n")
    monkeypatch.chdir(tmp_path)
    assert chat_format.load_profile("app.yaml")["served"]["from"] == "robin"
    monkeypatch.chdir(tmp_path.parent)
    assert chat_format.load_profile(tmp_path / "app.yaml")["served"]["from"] == "robin"
    (tmp_path / "app.yaml").write_text("kind: ollama\nfile: missing\n")
    refused(lambda: chat_format.load_profile(tmp_path / "app.yaml"), "missing", "file:")


# --- GGUF -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chatml", "gemma", "llama3", "smollm2"])
@pytest.mark.parametrize("add_bos", [True, False, None])
def test_metadata_is_what_the_independent_reader_reads(name, add_bos, tmp_path):
    tokenizer = TOKENIZERS[name]()
    path = write_gguf(tmp_path / "robin.gguf", tokenizer, tokenizer.chat_template, add_bos)
    theirs = {key: field.contents() for key, field in independent.GGUFReader(path).fields.items()}
    assert gguf.read(path) == {key: theirs[key] for key in theirs if not key.startswith("GGUF.")}
    served = gguf.served(path)
    assert (served["name"], served["context_length"], served["tokens"]) == ("Robin", 2048, len(tokenizer))
    assert (served["bos"], served["eos"]) == (tokenizer.bos_token, tokenizer.eos_token)
    assert served["add_bos"] is bool(add_bos) and tokenizer.eos_token in served["ends"]


@pytest.mark.parametrize("name", ["chatml", "gemma", "llama3", "mistral", "chatml_bos"])
@pytest.mark.parametrize("add_bos", [True, False])
def test_gguf_of_the_trained_model_gives_the_prompt_of_training(name, add_bos, tmp_path):
    tokenizer = TOKENIZERS[name]()
    row = example() if name != "gemma" else {"messages": example()["messages"][1:]}
    path = write_gguf(
        tmp_path / "robin.gguf", tokenizer, tokenizer.chat_template, add_bos and bool(tokenizer.bos_token)
    )
    profile = chat_format.load_profile(path)
    assert profile["kind"] == "gguf"
    assert chat_format.prompt_ids(row, tokenizer, profile) == chat_format.prompt_ids(row, tokenizer)


def test_ollama_doubles_a_start_token_that_the_template_writes(tmp_path):
    tokenizer, row = TOKENIZERS["gemma"](), {"messages": example()["messages"][1:]}
    write_gguf(tmp_path / "robin.gguf", tokenizer, add_bos=True)
    ids, bos = chat_format.prompt_ids(row, tokenizer), tokenizer.bos_token_id
    for template, starts in ((GEMMA, [bos]), ("<bos>" + GEMMA, [bos, bos])):
        path = written(tmp_path, f'FROM ./robin.gguf\nTEMPLATE """{template}"""\n')
        assert chat_format.prompt_ids(row, tokenizer, chat_format.load_profile(path)) == [*starts, *ids[1:]]


def test_without_a_start_token_none_is_added(tmp_path):
    tokenizer, row = TOKENIZERS["gemma"](), {"messages": example()["messages"][1:]}
    write_gguf(tmp_path / "robin.gguf", tokenizer, add_bos=False)
    path = written(tmp_path, f'FROM ./robin.gguf\nTEMPLATE """{GEMMA}"""\n')
    ids = chat_format.prompt_ids(row, tokenizer)
    assert chat_format.prompt_ids(row, tokenizer, chat_format.load_profile(path)) == ids[1:]
    template = "<start_of_turn>user\n{context}<end_of_turn>\n<start_of_turn>model\n"
    for add_bos, starts in ((None, ids[:1]), (True, ids[:1]), (False, [])):
        profile = {"kind": "template", "template": template} | ({} if add_bos is None else {"add_bos": add_bos})
        assert chat_format.prompt_ids(row, tokenizer, profile) == [*starts, *ids[1:]]


def test_bare_model_without_any_template_gets_the_last_message_alone(tmp_path):
    write_gguf(tmp_path / "robin.gguf", TOKENIZERS["chatml"]())
    profile = chat_format.load_profile(written(tmp_path, "FROM ./robin.gguf\n"))
    assert chat_format.prompt_of(TURNS, profile, tokenizer=TOKENIZERS["chatml"]()) == "heyyodinner?"
    assert any("bare" in note for note in profile["served"]["notes"])


def damaged(content):
    whole = content
    for end in (0, 3, 4, 20, 30, len(whole) // 2, len(whole) - 1):
        yield whole[:end], None
    yield whole[:4] + struct.pack("<I", 1) + whole[8:], "version 1"
    yield whole[:16] + struct.pack("<Q", 2**60) + whole[24:], None
    yield whole[:24] + struct.pack("<Q", 2**62) + whole[32:], None


def test_damaged_files_are_refused(tmp_path):
    tokenizer, path = TOKENIZERS["chatml"](), tmp_path / "robin.gguf"
    whole = write_gguf(path, tokenizer, tokenizer.chat_template).read_bytes()
    for content, words in damaged(whole):
        path.write_bytes(content)
        if content[:4] == b"GGUF":
            refused(lambda: chat_format.load_profile(path), "GGUF", *([words] if words else []))
        else:
            refused(lambda: chat_format.load_profile(path), "robin.gguf")


def test_without_a_template_llama_cpp_uses_chatml(tmp_path):
    tokenizer = TOKENIZERS["chatml"]()
    profile = chat_format.load_profile(write_gguf(tmp_path / "robin.gguf", tokenizer))
    assert chat_format.prompt_ids(TURNS, tokenizer, profile) == chat_format.prompt_ids(TURNS, tokenizer)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"GGUF", b"GGUF\x03\0\0\0", b"FROM x\nTEMPLATE ", b"FROM x\nPARAMETER stop "]),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(content, start):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Modelfile", "robin.gguf", "robin"):
            path = Path(folder) / name
            path.write_bytes(start + content)
            with contextlib.suppress(StudyError):
                profile = chat_format.load_profile(path)
                assert chat_format.prompt_of(TURNS, profile, tokenizer=TOKENIZERS["chatml"]())


WORDS = st.sampled_from(
    ["FROM", "TEMPLATE", "SYSTEM", "PARAMETER", "MESSAGE", "stop", "user", '"', '"""', "x", " ", "\n", "#", "\r\n"]
)


@given(st.lists(WORDS, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_instructions_are_read_or_refused(text):
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StudyError):
        assert modelfile.read(written(Path(folder), text))["from"]
