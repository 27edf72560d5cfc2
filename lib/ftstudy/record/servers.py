"""Which server an app talks to, and the prompt that this server makes of a request.

llama-server is asked for its prompt; what mlx_lm.server and Ollama make of one is rebuilt. What cannot be known is
said in notes, and messages that an unknown server renders are recorded as messages.
"""

from collections.abc import Awaitable, Callable

import httpx

from ..chat_format import gguf, ollama
from ..chat_format.prompts import Prompt, ollama_prompt
from ..chat_format.tokens import encode, template_text
from ..errors import StudyError
from ..machine_failures import pass_on
from .app_requests import Asked

UNKNOWN = (
    "The server is not one that ftstudy knows, so its own system text, chat template and truncation are not known: its "
    "messages are compared as training's chat template renders them."
)
NO_MODEL = (
    "mlx_lm.server was recorded without --model, so messages are compared as training's chat template renders them, and "
    "texts as mlx_lm.generate tokenizes them."
)
MLX = (
    "The prompt of mlx_lm.server was rebuilt from its messages with the tokenizer of --model; the server doesn't "
    "show its model or its --chat-template options."
)
OLLAMA = (
    "The prompt of Ollama was rebuilt from its template; whether Ollama dropped the first messages of a long conversation "
    "(num_ctx) cannot be seen."
)
START = "Ollama was recorded without --model, so the start token is taken as mlx-lm sets it."
Rendered = tuple[Prompt, list[str]]  # … and notes


async def detect(client: httpx.AsyncClient) -> str:
    """llama.cpp, ollama, mlx or unknown. StudyError: nothing answers."""
    try:
        if "default_generation_settings" in await _json(client, "/props"):
            return "llama.cpp"
        if "version" in await _json(client, "/api/version"):
            return "ollama"
        health = await client.get("/health")
    except httpx.HTTPError as error:
        raise StudyError(
            f"No server answers at {client.base_url} ({type(error).__name__}). Start the app's server first, or correct "
            "--server."
        ) from error
    return "mlx" if health.is_success and health.headers.get("server", "").startswith("BaseHTTP") else "unknown"


async def _json(client: httpx.AsyncClient, path: str) -> dict:
    answer = await client.get(path)
    try:
        found = answer.json() if answer.is_success else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def renderer(kind: str, client: httpx.AsyncClient, tokenizer=None) -> Callable[[Asked, dict], Awaitable[Rendered]]:
    """A function from a request and its headers to the prompt that the server makes of it, and notes.

    It raises StudyError where the prompt cannot be known, or httpx.HTTPError where the server doesn't say.
    """
    known = {"llama.cpp": _llama_cpp, "ollama": _ollama, "mlx": _mlx, "unknown": _unknown}[kind]
    models: dict[str, dict] = {}  # what Ollama said about them

    async def render(asked: Asked, headers: dict) -> Rendered:
        if asked.ids:
            return list(asked.ids), []
        return await known(asked, headers, client, tokenizer, models)

    return render


async def _llama_cpp(asked: Asked, headers, client, tokenizer, models) -> Rendered:
    text = asked.text
    if asked.messages:
        answer = await client.post("/apply-template", json=asked.body, headers=headers)
        text = answer.raise_for_status().json()["prompt"]
    body = {"content": text, "add_special": True, "parse_special": True}
    answer = await client.post("/tokenize", json=body, headers=headers)
    return list(answer.raise_for_status().json()["tokens"]), []


async def _mlx(asked: Asked, headers, client, tokenizer, models) -> Rendered:
    if tokenizer is None:
        return (list(asked.messages) or asked.text), [NO_MODEL]
    if not asked.messages:
        return list(tokenizer.encode(asked.text)), []
    arguments = asked.body.get("chat_template_kwargs") or {}
    try:
        text = template_text(list(asked.messages), tokenizer, asked.body.get("tools"), prompt=True, **arguments)
    except Exception as error:  # a template raises what it likes
        pass_on(error)
        raise StudyError(f"The chat template does not take the app's messages ({error}).") from error
    return encode([text], tokenizer)[0].tolist(), [MLX]


async def _ollama(asked: Asked, headers, client, tokenizer, models) -> Rendered:
    body = asked.body
    if body.get("context"):
        raise StudyError("The request continues a `context` of Ollama's, whose text is not in it.")
    if asked.model not in models:
        answer = await client.post("/api/show", json={"model": asked.model, "verbose": True}, headers=headers)
        models[asked.model] = _served(answer.raise_for_status().json())
    served = models[asked.model]
    if asked.text and body.get("raw"):
        served = served | {"template": "{{ .Prompt }}", "system": None, "messages": []}
    served = served | ({"template": body["template"]} if body.get("template") else {})
    messages = list(asked.messages) or [{"role": "user", "content": asked.text}]
    if body.get("system") and asked.text and not body.get("raw"):
        messages.insert(0, {"role": "system", "content": body["system"]})
    if served.get("renderer"):
        raise StudyError(f"Ollama renders {asked.model} with its own code ({served['renderer']}).")
    if tokenizer is not None:
        return ollama_prompt(served, messages, tokenizer), [OLLAMA]
    base = served["gguf"]
    start = base["bos"] if base["add_bos"] and base["bos"] else ""
    return start + ollama.prompt(served, messages), [OLLAMA, START]


def _served(said: dict) -> dict:
    """What Ollama says about a model, as `modelfile.read` gives it."""
    return {
        "template": said.get("template") or "{{ .Prompt }}",
        "system": said.get("system") or None,
        "messages": said.get("messages") or [],
        "gguf": gguf.described(said.get("model_info") or {}),
        "renderer": said.get("renderer"),
    }


async def _unknown(asked: Asked, headers, client, tokenizer, models) -> Rendered:
    return (list(asked.messages) or asked.text), [UNKNOWN]
