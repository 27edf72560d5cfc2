"""Templates and files that never end, or that grow without end, are stopped with a sentence."""

import errno
import json
import resource
import threading
import time
from pathlib import Path

import pytest
import yaml
from conftest import example, refused
from ftstudy import audit, chat_format, configs, machine_failures
from ftstudy.audit import architecture
from ftstudy.chat_format import ollama, tokens
from ftstudy.chat_format.rendering import render
from ftstudy.chat_format.template import Template
from ftstudy.errors import StudyError
from ftstudy.files import limits, yaml_files
from ftstudy.models import base_models, loadable
from mlx_lm import utils

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}"
GROWING = (
    "{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}"
)
HUGE = "{{ 'a' * 99999999999 }}"
NESTED = "{{ range .Messages }}x{{ end }}"
for _ in range(24):
    NESTED = "{{ range $.Messages }}" + NESTED + "{{ end }}"


@pytest.fixture
def quick(monkeypatch):
    """Limits of a second."""
    monkeypatch.setattr(tokens, "SECONDS", 1)
    monkeypatch.setattr(ollama, "SECONDS", 1)
    monkeypatch.setattr(limits, "_refused", set())


def in_a_thread(use):
    caught = []

    def run():
        try:
            use()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if caught:
        raise caught[0]


def count_for_ever():
    number = 0
    while True:
        try:
            number += 1
        except Exception:
            continue


@pytest.mark.parametrize("start", [lambda use: use(), in_a_thread], ids=["main thread", "another thread"])
def test_block_that_never_ends_is_stopped_in_any_thread(start):
    def use():
        with limits.limited("It never ends.", 0.3):
            count_for_ever()

    started = time.monotonic()
    refused(lambda: start(use), "It never ends.")
    assert time.monotonic() - started < 20


def test_block_that_ends_is_left_alone_and_limits_are_lifted_after_it():
    before = resource.getrlimit(resource.RLIMIT_AS)
    for _ in range(50):
        with limits.limited("never", 0.5):
            pass
    time.sleep(0.7)  # nothing comes later
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with pytest.raises(KeyError), limits.limited("never"):
        raise KeyError
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_of_blocks_within_one_another_the_one_that_is_over_its_time_is_stopped():
    with limits.limited("The outer one.", 60):
        refused(lambda: inner(0.3), "The inner one.")
    with pytest.raises(StudyError, match="The outer one"), limits.limited("The outer one.", 0.3):
        inner(60)


def inner(seconds):
    with limits.limited("The inner one.", seconds):
        count_for_ever()


def test_blocks_of_many_threads_are_each_stopped_at_their_own_time():
    taken = {}

    def use(seconds):
        started = time.monotonic()
        refused(lambda: inner(seconds), "The inner one.")
        taken[seconds] = time.monotonic() - started

    threads = [threading.Thread(target=use, args=[seconds]) for seconds in (1.2, 0.3, 0.9, 0.6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == 4 and all(seconds <= took for seconds, took in taken.items())


@pytest.mark.parametrize("template", [ENDLESS, GROWING, HUGE], ids=["endless", "growing", "huge"])
def test_chat_template_that_never_ends_is_refused_once_and_for_all(template, quick, tokenizer):
    messages = example()["messages"]
    own = getattr(tokenizer, "_tokenizer", tokenizer)
    use = lambda: tokens.template_text(messages, own, chat_template=template)  # noqa: E731
    refused(use, "chat template", "loops or grows without end")
    started = time.monotonic()
    refused(use, "loops or grows without end")
    assert time.monotonic() - started < 0.5


LONG = "{{ 'a' * 30000000 }}"  # made in no time, but of each row


def test_template_that_makes_far_more_than_it_was_given_is_refused(quick, tokenizer):
    own = getattr(tokenizer, "_tokenizer", tokenizer)
    conversation = example()["messages"]
    for messages in (conversation, [conversation] * 3):
        refused(
            lambda: tokens.template_text(messages, own, chat_template=LONG), "chat template", "millions of characters"
        )
    long = [{"role": "user", "content": "word " * 600_000}]
    plain = "{% for message in messages %}{{ message.content }}{% endfor %}"
    assert len(tokens.template_text(long, own, chat_template=plain)) == 3_000_000


def test_template_that_is_slow_in_each_row_is_refused_before_all_rows_are_read(quick, monkeypatch, tokenizer):
    monkeypatch.setattr(limits, "_spent", {})
    own = getattr(tokenizer, "_tokenizer", tokenizer)
    slow = "{% for a in range(99) %}{% for b in range(49999) %}{% set c = a * b %}{% endfor %}{% endfor %}"
    started = time.monotonic()
    with pytest.raises(StudyError, match="loops or grows without end"):
        for _ in range(1000):
            tokens.template_text(example()["messages"], own, chat_template=slow)
    assert time.monotonic() - started < 60  # a thousand rows would take minutes
    for _ in range(300):  # and one that is quick may be used as often as there are rows
        tokens.template_text(example()["messages"], tokenizer)


def test_profile_that_repeats_a_placeholder_without_end_is_refused():
    profile = {"kind": "messages", "user": "{context} " * 200_000}
    refused(lambda: chat_format.messages_for(example(), profile), "repeats placeholders", "characters")
    twice = {"kind": "messages", "user": "{context}\n{context}"}
    assert chat_format.messages_for(example(), twice)[1]["content"].count("dinner?") == 2


def test_audit_of_a_model_with_an_endless_template_ends_in_a_sentence(quick, tiny, tmp_path, write_split):
    for name in ("train", "valid"):
        write_split(tmp_path / "data", name, [example(reply=f"yes {at}") for at in range(40)])
    path = tiny / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": ENDLESS}))
    (tiny / "chat_template.jinja").unlink(missing_ok=True)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": str(tiny), "data": str(tmp_path / "data")}))
    refused(lambda: audit.audit(tmp_path / "config.yaml"), "chat template", "without end")
    rows = [(1, example())] * 30
    refused(lambda: render(rows, base_models.load_tokenizer(tiny)), "without end")


def test_modelfile_template_that_never_ends_is_refused(quick):
    served = {"template": NESTED, "system": None, "messages": [], "parameters": {}, "stop": [], "gguf": None}
    refused(lambda: ollama.prompt(served, example()["messages"]), "TEMPLATE", "without end")


def laughs(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, levels))])


def merges(levels):
    lines = ["a0: &a0 {x: 1}"]
    return "\n".join(
        [*lines, *(f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 10)}]}}" for at in range(1, levels))]
    )


@pytest.mark.parametrize("text", [laughs(9), merges(9)], ids=["aliases", "merged keys"])
def test_yaml_whose_aliases_multiply_is_refused(text, tmp_path):
    (tmp_path / "any.yaml").write_text(text, encoding="utf-8")
    started = time.monotonic()
    refused(lambda: configs.load(tmp_path / "any.yaml"), "any.yaml", "aliases")
    refused(lambda: chat_format.load_profile(tmp_path / "any.yaml"), "any.yaml", "aliases")
    assert time.monotonic() - started < 10


def test_yaml_is_read_as_before():
    for text in ("", "a: 1\nb: &b [1, 2]\nc: *b\n", "- x\n- {y: 2024-01-01}\n", "a: &a [*a]", "key: !!set {x}"):
        assert repr(yaml_files.parse(text)) == repr(yaml.safe_load(text))
    with pytest.raises(yaml.YAMLError):
        yaml_files.parse("a: [")


def test_files_larger_than_settings_can_be_are_refused(tmp_path):
    (tmp_path / "big.yaml").write_bytes(b"a: " + b"x" * (5 << 20))
    refused(lambda: configs.load(tmp_path / "big.yaml"), "big.yaml", "more than")
    with pytest.raises(StudyError):
        chat_format.load_profile(tmp_path / "big.yaml")


# --- a machine without memory -------------------------------------------------------------------


def in_little_memory(use, raised=MemoryError, room=64 << 20):
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limits._used() + room, before[1]))
    try:
        with pytest.raises(raised) as caught:
            use()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert machine_failures.explain(caught.value)
    return caught.value


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits memory")
def test_too_little_memory_is_not_the_templates_fault(monkeypatch):
    monkeypatch.setattr(limits, "_refused", set())
    tokenizer = base_models.load_tokenizer("tiny")
    tokenizer.chat_template = "{{ 'a' * 500000000 }}"  # bytes; fewer than the limit of 2 GB
    chat = [(1, example())]
    in_little_memory(lambda: render(chat, tokenizer))
    in_little_memory(lambda: Template(tokenizer).render(example()["messages"]))
    assert not limits._refused


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits memory")
@pytest.mark.parametrize(
    "error",
    [
        MemoryError("std::bad_alloc"),
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("[malloc] Unable to allocate 8 bytes."),
    ],
    ids=["memory", "open files", "mlx"],
)
def test_what_the_machine_lacks_is_no_finding(monkeypatch, tmp_path, error):
    def fail(*arguments, **options):
        raise error

    tokenizer, folder = base_models.load_tokenizer("tiny"), base_models.resolve("tiny")
    monkeypatch.setattr(tokens, "limited", fail)
    uses = [
        lambda: render([(1, example())], tokenizer),
        lambda: Template(tokenizer).render(example()["messages"]),
    ]
    for name in ("load_model", "_get_classes"):
        monkeypatch.setattr(utils, name, fail)
        uses.append(lambda: loadable.problem(folder))
    monkeypatch.setattr(architecture, "model_config", lambda folder: {"model_type": "llama"})
    uses.append(lambda: architecture.skeleton(tmp_path))
    for use in uses:
        assert in_little_memory(use, type(error)) is error


def test_what_a_template_says_about_memory_is_its_own_refusal():
    tokenizer = base_models.load_tokenizer("tiny")
    tokenizer.chat_template = "{{ raise_exception('MemoryError: Unable to allocate') }}"
    assert len(render([(1, example())], tokenizer).refused) == 1
