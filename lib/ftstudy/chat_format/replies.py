"""Where the replies of rendered rows begin and end, in token positions."""

import numpy

from ..machine_failures import pass_on
from .messages import text_of
from .rendering import Rendering
from .tokens import common_prefix, encode, end_of_turn_ids, template_ids


def last_replies(rendering: Rendering, tokenizer) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Per row: where the last reply begins, the position of the token that ends its turn (the row's length if
    there is none), and how many tokens the prompt and the whole conversation share."""
    stops = end_of_turn_ids(tokenizer)
    starts, ends, agreed, apart = [], [], [], []
    for row, (ids, prompt) in enumerate(zip(rendering.ids, rendering.prompts)):
        same = len(prompt)
        if len(ids) < same or not numpy.array_equal(ids[:same], prompt):
            same = common_prefix(ids.tolist(), prompt.tolist())
            apart.append(row)
        tail = ids[same:].tolist()
        end = next((at for at in reversed(range(len(tail))) if tail[at] in stops), len(tail))
        starts.append(same)
        ends.append(same + end)
        agreed.append(same)
    # Prompt and whole may differ before the reply (a think block, say): look for the reply's own tokens.
    contents = [text_of(rendering.rows[row]["messages"][-1]).strip() for row in apart]
    for row, own in zip(apart, encode(contents, tokenizer)):
        start = ends[row] - len(own)
        if len(own) and start > starts[row] and numpy.array_equal(rendering.ids[row][start : ends[row]], own):
            starts[row] = start
    return tuple(numpy.array(values, dtype=int) for values in (starts, ends, agreed))


def earlier_replies(rendering: Rendering, tokenizer) -> tuple[dict[int, list[tuple[int, int]]], list[int]]:
    """The replies before the last: row -> [(start, position of the token that ends the turn)], and the rows whose
    template rewrites an earlier reply once the conversation has gone on."""
    stops, earlier, lost = end_of_turn_ids(tokenizer), {}, []
    for row, (chat, ids) in enumerate(zip(rendering.rows, rendering.ids)):
        messages, ids, spans = chat["messages"], ids.tolist(), []
        for at in [at for at, message in enumerate(messages[:-1]) if at and message["role"] == "assistant"]:
            try:
                prompt = template_ids(messages[:at], tokenizer, chat.get("tools"), prompt=True)
                whole = template_ids(messages[: at + 1], tokenizer, chat.get("tools"))
            except Exception as error:  # a template raises what it likes
                pass_on(error)
                lost.append(row)
                continue
            start, shared = common_prefix(ids, prompt), common_prefix(ids, whole)
            end = next((place for place in range(shared - 1, start - 1, -1) if ids[place] in stops), None)
            if end is None or start < len(prompt):
                lost.append(row)
            else:
                spans.append((start, end))
        if spans:
            earlier[row] = spans
    return earlier, sorted(set(lost))
