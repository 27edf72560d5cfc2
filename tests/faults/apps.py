"""Apps that ask a model for a reply, each in its own way: functions for profiles of the kind callable."""

from functools import cache


@cache
def _tokenizer(name):
    from templates import TOKENIZERS

    return TOKENIZERS[name]()


def the_examples_messages(example):
    """As in training."""
    return example["messages"][:-1]


def no_system(example):
    return [message for message in example["messages"][:-1] if message["role"] != "system"]


def last_turn_only(example):
    """The app keeps no history."""
    return [message for message in example["messages"][:-1] if message["role"] == "system"] + [example["messages"][-2]]


def shortened_replies(example):
    """The app sums up what it said before."""
    return [
        message | ({"content": message["content"][:12] + "…"} if message["role"] == "assistant" else {})
        for message in example["messages"][:-1]
    ]


def spaced_out(example):
    """A line break behind every message, as a text box leaves it."""
    return [message | {"content": message["content"] + "\n"} for message in example["messages"][:-1]]


def qwen_without_thinking(example):
    """No fault: training has the empty think block before each reply too."""
    return _rendered("qwen3", example, enable_thinking=False)


def thinking(example):
    """In training this template has an empty think block before the reply."""
    return _rendered("think", example, enable_thinking=True)


def _rendered(name, example, **arguments):
    messages = example["messages"][:-1]
    return _tokenizer(name).apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **arguments)


def typed_out(example):
    """The right prompt for ChatML, but written by hand."""
    turns = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in example["messages"][:-1]]
    return "".join(turns) + "<|im_start|>assistant\n"


def fails(example):
    return example["conversation_id"]


def fails_on_long_questions(example):
    if len(example["messages"][-2]["content"]) > 300:
        raise ValueError("the context is too long")
    return example["messages"][:-1]


def nothing(example):
    return None
