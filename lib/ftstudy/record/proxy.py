"""A proxy between an app and its server, on this machine: passes everything on as it comes, and records prompts."""

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import StudyError
from . import app_requests
from .app_requests import ROUTES, Asked
from .captures import Captures
from .matching import Row, find

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# About one connection, and not about the message.
HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length",
}  # fmt: skip
# How apps on this machine name it, the last from a container. A web page can point a name of its own at 127.0.0.1, to
# read what the server answers; servers refuse such names, and would not see them through a proxy.
OUR_NAMES = ["127.0.0.1", "localhost", "host.docker.internal"]
FOR_HELPERS = ("authorization", "x-api-key")


def checked_server(url: str, allow_remote: bool) -> str:
    """The server's address without its path. StudyError: it is not one, or is not on this machine."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StudyError(f"{url!r} is not a server's address. Write --server http://127.0.0.1:8080, for example.")
    if not allow_remote and not _is_loopback(parts.hostname):
        raise StudyError(
            f"{parts.hostname} is not this machine, and recording would send people's messages there through ftstudy. If "
            "your app does that anyway and it is what you want, add --allow-remote."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def application(
    client: httpx.AsyncClient,
    render: Callable[[Asked, dict], Awaitable],
    rows: list[Row],
    captures: Captures,
    told: Callable[[str], None] = print,
) -> Starlette:
    """The proxy as an ASGI application. `told` gets a line for each prompt. Recording never fails a request."""

    async def passed_on(request: Request) -> Response:
        body = await request.body()
        headers = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP]
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        onward = client.build_request(request.method, path, headers=headers, content=body)
        try:
            answer = await client.send(onward, stream=True)
        except httpx.HTTPError as error:
            told(f"the server did not answer {request.url.path} ({type(error).__name__})")
            return PlainTextResponse(f"ftstudy record: the server did not answer ({type(error).__name__}).\n", 502)
        if request.method == "POST" and request.url.path in ROUTES and answer.is_success:
            await _record(request, body)

        async def chunks():
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        streamed = StreamingResponse(chunks(), answer.status_code)
        kept = [(name.lower(), value) for name, value in answer.headers.raw if name.decode().lower() not in HOP_BY_HOP]
        length = [(b"content-length", value) for name, value in answer.headers.raw if name.lower() == b"content-length"]
        streamed.raw_headers = [*kept, *length]
        return streamed

    async def _record(request: Request, body: bytes) -> None:
        headers = {name: request.headers[name] for name in FOR_HELPERS if name in request.headers}
        try:
            for asked in app_requests.read(request.url.path, body):
                told(await _recorded(asked, headers))
        except Exception as error:  # whatever a request has in it, the app must get its answer
            captures.counts["unreadable"] += 1
            told(f"not recorded: {error}")

    async def _recorded(asked: Asked, headers: dict) -> str:
        fitting = find(asked, rows, set(captures.rows))
        if len(fitting) != 1:
            reason = "ambiguous" if fitting else "unmatched"
            captures.counts[reason] += 1
            return f"not recorded: the request fits {f'{len(fitting)} rows' if fitting else 'no row'} of the data"
        ((split, row),) = fitting
        try:
            prompt, notes = await render(asked, headers)
        except (StudyError, httpx.HTTPError, KeyError, ValueError) as error:
            why = str(error) if isinstance(error, StudyError) else f"The server does not show its prompt ({error!r})."
            if not asked.messages:
                captures.counts["unknown"] += 1
                return f"not recorded: {why}"
            prompt, notes = list(asked.messages), [f"{why} Messages are compared as training's template renders them."]
        outcome = captures.add((split, row), prompt, asked.stop, notes)
        return f"{outcome}: {split} row {row}"

    ours = Middleware(TrustedHostMiddleware, allowed_hosts=OUR_NAMES, www_redirect=False)
    return Starlette(routes=[Route("/{path:path}", passed_on, methods=METHODS)], middleware=[ours])
