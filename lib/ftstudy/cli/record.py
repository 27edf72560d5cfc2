"""`ftstudy record`: what does an app really send to its server?"""

from ..errors import StudyError
from ..paths import absolute, shown
from ..wording import count
from .arguments import number

OUTCOMES = {
    "recorded": "recorded",
    "repeated": "asked again in the same way",
    "changed": "asked again in another way; the first prompt was kept",
    "unmatched": "not recorded: no row of the data fits",
    "ambiguous": "not recorded: several rows fit equally",
    "unreadable": "not recorded: the prompt is not text",
    "unknown": "not recorded: the server's prompt cannot be known",
}


def add(parsers):
    parser = parsers.add_parser(
        "record",
        help="record the prompts that your app sends to its server",
        description="A proxy between an app and its server on this machine: passes everything on, and records each "
        "request's prompt next to the data row it asks about. Point your app at http://127.0.0.1:PORT instead of "
        "its server, ask it the rows' questions, and end with Ctrl-C.",
    )
    parser.add_argument("--server", required=True, help="the app's server, for example http://127.0.0.1:8080")
    parser.add_argument("--data", required=True, type=absolute, help="the run's data folder: which rows are asked")
    parser.add_argument("--split", help="only rows of this split (default: test, valid and train)")
    parser.add_argument("--out", type=absolute, default="captures.jsonl", help="(captures.jsonl)")
    parser.add_argument("--port", type=number(1, most=65535), default=8766, help="where your app connects to (8766)")
    parser.add_argument("--model", help="the model that mlx_lm.server or Ollama serves: its tokenizer gives token ids")
    parser.add_argument("--allow-remote", action="store_true", help="also a server that is not on this machine")
    return parser


def run(options) -> None:
    import asyncio

    try:
        import httpx  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise StudyError(
            f"`ftstudy record` needs the package {error.name}, which is not installed. Run: "
            "pip install httpx starlette uvicorn"
        ) from error
    from ..models import base_models
    from ..record import matching, proxy
    from ..record.captures import Captures

    server = proxy.checked_server(options.server, options.allow_remote)
    rows = matching.rows_of(options.data, options.split)
    tokenizer = base_models.load_tokenizer(options.model) if options.model else None
    captures = Captures(options.out)
    try:
        asyncio.run(_serve(server, options.port, tokenizer, rows, captures))
    except KeyboardInterrupt:  # how a recording ends
        pass
    finally:
        captures.close()
    print(summary(captures, rows))


async def _serve(server: str, port: int, tokenizer, rows: list, captures) -> None:
    import httpx
    import uvicorn

    from ..record import proxy, servers

    # Only the app's own requests: no proxy of the environment, no time limit on a slow model.
    async with httpx.AsyncClient(base_url=server, timeout=None, trust_env=False) as client:
        kind = await servers.detect(client)
        app = proxy.application(client, servers.renderer(kind, client, tokenizer), rows, captures)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
        with listening(port) as socket:
            print(f"Recording {kind} at {server}. Point your app at http://127.0.0.1:{port}; Ctrl-C ends.", flush=True)
            await uvicorn.Server(config).serve(sockets=[socket])


def listening(port: int):
    """A socket on this machine alone. StudyError: the port is taken."""
    import socket

    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
    except OSError as error:
        found.close()
        raise StudyError(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error
    return found


def summary(captures, rows: list) -> str:
    """What was recorded, what was not, and what to do with it."""
    lines = [
        f"{count(times, 'prompt')} {meaning}" for key, meaning in OUTCOMES.items() if (times := captures.counts[key])
    ]
    lines = lines or ["No prompts were seen: is the app connected to the proxy and not to its server?"]
    lines += captures.notes
    total = len({where for where, *_ in rows if where[0] in {split for split, _ in captures.rows}})
    lines.append(
        f"{shown(captures.path)} has prompts for {len(captures.rows):,} of {total:,} rows. To compare them with "
        f"training: ftstudy diagnose config.yaml --inference {shown(captures.path)}"
    )
    return "\n".join(lines)
