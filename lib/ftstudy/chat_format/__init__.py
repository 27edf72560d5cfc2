"""The one place where a conversation becomes a prompt, token ids and a loss mask.

    messages_for(example, profile)             example -> messages
    prompt_ids(example, tokenizer, profile)    example -> the token ids that an app sends
    training_ids(example, tokenizer, profile)  example -> token ids and loss mask
    check_prompt(contract, prompt, tokenizer)  for an app that serves the adapter: what is wrong with a prompt

An *example* is one row of a train.jsonl: `{"messages": [system, user, assistant]}`; the
last message is the owner's reply. A *profile* says how an app builds its prompt (see
`load_profile`); without one, the example's own messages go through the tokenizer's chat
template, which is what mlx-lm does in training.

    tokens      the only calls of a tokenizer's chat template
    rows        train.jsonl and so on, as mlx-lm reads them
    messages    an example's messages, and reading a user turn back
    prompts     what an app sends, as text, token ids or messages
    profiles    how an app builds its prompt: checked and loaded
    modelfile   an Ollama Modelfile read, and `ollama`, the prompt built from it (`go_template`, `go_rendering`)
    gguf        what a GGUF file says about its chat template and its tokens
    rendering   many rows -> token ids
    replies     where the replies of rendered rows begin and end
    loss_mask   rendered rows -> which tokens are trained; training, audit and comparison all use it
    template    a chat template taken apart: what is markup, what is content
    mlx_lm_rows what mlx-lm's own dataset classes say to a row
    read_back   a text that a chat template rendered -> messages
    identity    what identifies a tokenizer, a template and a model
    user_form   what training's user turns begin and end with
    contract    what an adapter expects of a prompt, as a file next to it
    capture     the token ids that an app sends, recorded

Nothing here imports mlx before it is used.
"""

from .contract import check_prompt
from .loss_mask import reply_ids, training_ids
from .messages import (
    EXTRACTED,
    WRAPPER,
    context_of,
    ends_with_reply,
    fill,
    last_message,
    messages_for,
    plain_context,
    text_of,
)
from .profiles import CHATML, TRAINING_SYSTEM, load_profile, named_profiles
from .prompts import encoded, function_of, prompt_ids, prompt_of
from .tokens import common_prefix, encode_prompt, end_of_turn_ids, template_ids, template_text

__all__ = [
    "CHATML",
    "EXTRACTED",
    "TRAINING_SYSTEM",
    "WRAPPER",
    "check_prompt",
    "common_prefix",
    "context_of",
    "encode_prompt",
    "encoded",
    "end_of_turn_ids",
    "ends_with_reply",
    "fill",
    "function_of",
    "last_message",
    "load_profile",
    "messages_for",
    "named_profiles",
    "plain_context",
    "prompt_ids",
    "prompt_of",
    "reply_ids",
    "template_ids",
    "template_text",
    "text_of",
    "training_ids",
]
