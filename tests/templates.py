"""Tokenizers with the chat templates of well-known model families, built here in a moment.

    TOKENIZERS["gemma"]()            the tokenizer as mlx-lm loads it
    tokenizer_folder("gemma", path)  a whole model folder, with random weights that mlx-lm loads too

On each of TOKENIZERS a clean run is clean: the prompt is a prefix of the whole rendering.
`chatml_bos`, `gemma`, `llama3` and `mistral` put a BOS before every text that they encode with
special tokens, and their templates write one. Of the templates with think blocks,

    qwen3         has the block in the last reply; in the prompt only with enable_thinking=False,
                  and mlx-lm says True, since <think> is a token
    think         has it in the last reply, and in the prompt unless enable_thinking=True; <think>
                  is plain text here, so mlx-lm says False
    think_prompt  has it in the prompt alone. It is PECULIAR: mlx-lm's mask ends behind the
                  reply's beginning, so it is not among TOKENIZERS
    thoughts_beside  reads them from `reasoning_content`
    thinking_prompt  begins a block in the prompt, which the reply ends
    thoughts      takes it out of the content of replies, and writes it again in the last one

PECULIAR are also those for rows of a certain form: `tools`, `tools_of_text`, `tags` and `parts`, and two that write
the same row differently: `dated` on another day, `drawn` each time.
"""

import json
import tempfile
from functools import cache, partial
from pathlib import Path

from ftstudy.models import base_models
from ftstudy.models.recipes import TINY_RECIPE

TURNS = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
BLOCK = "<think>\n\n</think>\n\n"
LAST_WITH_BLOCK = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ '" + BLOCK + "' }}{% endif %}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}"
)


def _prompt_with_block(condition: str) -> str:
    return (
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        "{% if " + condition + " %}{{ '" + BLOCK + "' }}{% endif %}{% endif %}"
    )


THOUGHTS = (  # takes the block out of a reply, and writes it in the last one alone
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{% set said = message['content'] %}"
    "{% set thought = '' %}{% if '</think>' in said %}"
    "{% set thought = said.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>assistant\n' }}"
    "{% if loop.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ said + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
)
PARTS = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
)


def _with_tools(arguments: str) -> str:
    return (
        "{% if tools %}{{ '<|im_start|>system\n# Tools\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
        "{{ '<|im_end|>\n' }}{% endif %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message.content %}{{ message['content'] }}{% endif %}{% for call in message.tool_calls or [] %}"
        '{{ \'<tool_call>\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
        + arguments
        + "{{ '}\n</tool_call>' }}"
        "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    )


INJECTED = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CHATML = {"special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "bos": None, "eos": "<|im_end|>"}
FAMILIES = {
    "chatml": CHATML | {"template": TURNS + PROMPT},
    "chatml_bos": {
        "special": ["<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>"],
        "bos": "<|startoftext|>",
        "eos": "<|im_end|>",
        "adds_bos": True,
        "template": "{{ bos_token }}" + TURNS + PROMPT,
    },
    "smollm2": CHATML
    | {
        "bos": "<|im_start|>",
        "template": "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        + INJECTED
        + "<|im_end|>\n' }}{% endif %}"
        + TURNS
        + PROMPT,
    },
    "gemma": {
        "special": ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
        "bos": "<bos>",
        "eos": "<end_of_turn>",
        "adds_bos": True,
        "template": "{{ bos_token }}"
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    },
    "llama3": {
        "special": ["<|end_of_text|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "bos": "<|begin_of_text|>",
        "eos": "<|eot_id|>",
        "adds_bos": True,
        "template": "{{ bos_token }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    },
    "mistral": {
        "special": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
        "bos": "<s>",
        "eos": "</s>",
        "adds_bos": True,
        "template": "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}"
        "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
        "{{ bos_token }}{% for message in turns %}{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
        "{% else %}{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}{% endfor %}",
    },
    "qwen3": CHATML
    | {
        "plain": ["<think>", "</think>"],
        "template": LAST_WITH_BLOCK + _prompt_with_block("enable_thinking is defined and not enable_thinking"),
    },
    "think": CHATML
    | {"template": LAST_WITH_BLOCK + _prompt_with_block("enable_thinking is not defined or not enable_thinking")},
    "think_prompt": CHATML | {"template": TURNS + _prompt_with_block("not enable_thinking")},
    "thoughts": CHATML
    | {
        "plain": ["<think>", "</think>"],
        "template": THOUGHTS + _prompt_with_block("enable_thinking is defined and not enable_thinking"),
    },
    "thoughts_beside": CHATML
    | {
        "plain": ["<think>", "</think>"],
        "template": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['role'] == 'assistant' %}{{ '<think>\n' + (message['reasoning_content'] or '') + '\n</think>\n\n' }}"
        "{% endif %}{{ message['content'] + '<|im_end|>\n' }}{% endfor %}" + PROMPT,
    },
    "thinking_prompt": CHATML
    | {
        "plain": ["<think>", "</think>"],
        "template": TURNS + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}",
    },
    "tags": CHATML | {"plain": ["<think>", "</think>", "<tool_call>", "</tool_call>"], "template": TURNS + PROMPT},
    "tools": CHATML | {"template": _with_tools("{{ call.function.arguments | tojson }}") + PROMPT},
    "tools_of_text": CHATML
    | {
        "template": _with_tools(
            "{% if call.function.arguments is string %}{{ call.function.arguments }}"
            "{% else %}{{ call.function.arguments | tojson }}{% endif %}"
        )
        + PROMPT
    },
    "parts": CHATML | {"template": PARTS + PROMPT},
    "dated": CHATML | {"template": "{{ 'Today is ' + strftime_now('%d %B %Y') + '.\n' }}" + TURNS + PROMPT},
    "drawn": CHATML | {"template": "{{ range(10 ** 4) | random }}\n" + TURNS + PROMPT},
}
PECULIAR = "think_prompt thoughts thoughts_beside thinking_prompt tags tools tools_of_text parts dated drawn".split()


def tokenizer_folder(name: str, path, width: int = 16, layers: int = 1) -> Path:
    """Write a model folder of that family: tokenizer, template, config, and weights from a seed."""
    import mlx.core as mx
    import numpy

    family, path = FAMILIES[name], Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = _byte_level(tuple(family["special"]), tuple(family.get("plain", ())))
    ids = {role: tokenizer.token_to_id(family[role]) for role in ("bos", "eos") if family[role]}
    if family.get("adds_bos"):
        from tokenizers.processors import TemplateProcessing

        bos = family["bos"]
        tokenizer.post_processor = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, ids["bos"])])
    tokenizer.save(str(path / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "eos_token": family["eos"],
        "pad_token": family["special"][0],
        "chat_template": family["template"],
    }
    _write(path / "tokenizer_config.json", settings | ({"bos_token": family["bos"]} if family["bos"] else {}))
    words, inner = tokenizer.get_vocab_size(), 2 * width
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": words,
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": 2,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    }  # fmt: skip
    _write(path / "config.json", config | {f"{role}_token_id": index for role, index in ids.items()})
    attention = {f"self_attn.{part}_proj": (width, width) for part in "qkvo"}
    mlp = {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
    norms = {"input_layernorm": (width,), "post_attention_layernorm": (width,)}
    parts = attention | mlp | norms
    shapes = {f"model.layers.{at}.{part}": shape for at in range(layers) for part, shape in parts.items()}
    shapes |= {"model.embed_tokens": (words, width), "model.norm": (width,)}
    random = numpy.random.default_rng(7)
    weights = {
        f"{key}.weight": mx.array(random.normal(0, 0.1, shape).astype("float32")) for key, shape in shapes.items()
    }
    mx.save_safetensors(str(path / "model.safetensors"), weights, metadata={"format": "mlx"})
    return path


def _byte_level(special: tuple, plain: tuple):
    """Byte-level BPE of a few sentences: it encodes any text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=450, special_tokens=list(special), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(TINY_RECIPE["sentences"], trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    return tokenizer


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


@cache
def _loaded(name: str):
    with tempfile.TemporaryDirectory() as folder:
        return base_models.load_tokenizer(tokenizer_folder(name, Path(folder) / name))


TOKENIZERS = {name: partial(_loaded, name) for name in FAMILIES if name not in PECULIAR}
