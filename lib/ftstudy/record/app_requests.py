"""What an app asks for in one request, on the routes that have a prompt in them."""

import json
from dataclasses import dataclass, field

ROUTES = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text",
    "/api/chat": "chat",
    "/api/generate": "text",
}


@dataclass(frozen=True)
class Asked:
    """One prompt of an app: `messages`, `text` or token `ids`; the others are empty."""

    route: str
    model: str = ""
    messages: tuple[dict, ...] = ()
    text: str = ""
    ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    body: dict = field(default_factory=dict)  # the whole request

    @property
    def texts(self) -> list[str]:
        """The texts a person or the app wrote, in order."""
        return [message["content"] for message in self.messages] or [self.text]


def read(route: str, content: bytes) -> list[Asked]:
    """The prompts in a request's body: one, or several of a batch. Raises ValueError if it has none that is text."""
    body = json.loads(content)
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    options = body.get("options") if isinstance(body.get("options"), dict) else {}
    stop = body.get("stop") or options.get("stop") or []
    stop = tuple(text for text in ([stop] if isinstance(stop, str) else stop) if isinstance(text, str))
    shared = {"route": route, "model": str(body.get("model") or ""), "stop": stop, "body": body}
    if ROUTES[route] == "chat":
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise ValueError("it has no messages")  # Ollama takes it as a request to load the model
        return [Asked(messages=tuple(_message(message) for message in messages), **shared)]
    prompt = body.get("prompt")
    if isinstance(prompt, str) and prompt:
        return [Asked(text=prompt, **shared)]
    if isinstance(prompt, list) and prompt:
        if all(type(token) is int for token in prompt):
            return [Asked(ids=tuple(prompt), **shared)]
        if all(isinstance(one, str) and one for one in prompt):
            return [Asked(text=one, **shared) for one in prompt]
        if all(isinstance(one, list) and one and all(type(token) is int for token in one) for one in prompt):
            return [Asked(ids=tuple(one), **shared) for one in prompt]
    raise ValueError("it has no prompt")


def _message(message) -> dict:
    """A message with a text as its content; content parts are joined, as servers do."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ValueError("a message has no role")
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise ValueError("a message has parts that are not text")
        content = "".join(part["text"] for part in content)
    if content is not None and not isinstance(content, str):
        raise ValueError("a message has a content that is not text")
    return message | {"content": content or ""}
