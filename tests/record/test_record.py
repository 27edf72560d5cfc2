"""`ftstudy record`: real requests through a real proxy, to servers made here and to mlx_lm.server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import uvicorn
from conftest import check_parity, example, refused
from ftstudy import chat_format
from ftstudy.chat_format.capture import captured_rows
from ftstudy.cli import record
from ftstudy.record import app_requests, matching, proxy, servers
from ftstudy.record.captures import Captures
from served_models import CHATML_MESSAGES, CHATML_ONCE
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from templates import TOKENIZERS

ROWS = [example(user=f"Contact: what about number {number}?", reply=f"yo {number}") for number in range(4)]
SECONDS = 20


@contextlib.contextmanager
def running(app):
    """An ASGI application on a free port of this machine; yields its address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)


class Upstream:
    """A server of some kind. `gate` holds the second piece of a stream back until the first has arrived."""

    def __init__(self, kind, tokenizer, template=CHATML_ONCE):
        self.kind, self.tokenizer, self.template = kind, tokenizer, template
        self.gate, self.seen = threading.Event(), []
        routes = [Route("/{path:path}", self.answer, methods=["GET", "POST"])]
        self.app = Starlette(routes=routes)

    async def answer(self, request):
        path, body = request.url.path, await request.body()
        if request.method == "GET":
            known = {"llama.cpp": "/props", "ollama": "/api/version"}
            content = {"default_generation_settings": {}} if self.kind == "llama.cpp" else {"version": "0.9"}
            return JSONResponse(content if path == known.get(self.kind) else {}, 200 if path != "/missing" else 404)
        asked = json.loads(body)
        self.seen.append((path, asked, request.headers.get("authorization")))
        if path == "/apply-template":
            text = chat_format.template_text(asked["messages"], self.tokenizer, prompt=True)
            return JSONResponse({"prompt": text.removeprefix(self.tokenizer.bos_token or "")})
        if path == "/tokenize":
            return JSONResponse({"tokens": self.tokenizer.encode(asked["content"], add_special_tokens=True)})
        if path == "/api/show":
            return JSONResponse({"template": self.template, "model_info": {"tokenizer.ggml.add_bos_token": False}})
        if asked.get("stream"):
            return StreamingResponse(self.pieces(), media_type="text/event-stream")
        return JSONResponse({"reply": path, "bytes": len(body)}, headers={"x-served-by": "robin"})

    async def pieces(self):
        import anyio

        yield b"data: one\n\n"
        assert await anyio.to_thread.run_sync(self.gate.wait, SECONDS)
        yield b"data: two\n\n"


@contextlib.contextmanager
def recorded(upstream, tmp_path, write_split, tokenizer=None, rows=ROWS):
    """A client of the proxy, and what is recorded."""
    import asyncio

    write_split(tmp_path / "data", "test", rows)
    captures = Captures(tmp_path / "captures.jsonl")
    with running(upstream.app) as address:
        client = httpx.AsyncClient(base_url=address, timeout=None, trust_env=False)

        async def known():
            async with httpx.AsyncClient(base_url=address, trust_env=False) as asking:
                return await servers.detect(asking)

        assert asyncio.run(known()) == upstream.kind
        render = servers.renderer(upstream.kind, client, tokenizer)
        lines = []
        app = proxy.application(client, render, matching.rows_of(tmp_path / "data"), captures, lines.append)
        with running(app) as proxied, httpx.Client(base_url=proxied, timeout=SECONDS, trust_env=False) as asking:
            yield asking, captures, lines
    captures.close()


def messages_of(row):
    return row["messages"][:-1]


@pytest.mark.parametrize("name", ["chatml", "llama3", "mistral"])
def test_llama_cpp_is_asked_for_its_prompt(name, tmp_path, write_split):
    tokenizer = TOKENIZERS[name]()
    upstream = Upstream("llama.cpp", tokenizer)
    with recorded(upstream, tmp_path, write_split) as (asking, captures, _):
        for row in ROWS:
            body = {"model": "robin", "messages": messages_of(row), "stop": ["User:"]}
            answer = asking.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer key"})
            assert answer.json()["reply"] == "/v1/chat/completions" and answer.headers["x-served-by"] == "robin"
    found = captured_rows(tmp_path / "captures.jsonl")
    wanted = {("test", number): chat_format.prompt_ids(row, tokenizer) for number, row in enumerate(ROWS)}
    assert found == {"rows": wanted, "broken": [], "stop": ["User:"]}
    assert {key for _, _, key in upstream.seen} == {"Bearer key"}
    profile = chat_format.load_profile(tmp_path / "captures.jsonl")
    assert profile["kind"] == "captured" and profile["stop"] == ["User:"]
    assert check_parity(ROWS, tokenizer, profile, "here") == []


def test_requests_reach_the_server_unchanged_and_so_do_answers(tmp_path, write_split):
    upstream = Upstream("llama.cpp", TOKENIZERS["chatml"]())
    with recorded(upstream, tmp_path, write_split) as (asking, captures, _):
        assert asking.get("/missing").status_code == 404
        body = {"input": "é", "model": "robin"}
        assert asking.post("/v1/embeddings?a=1&b=é", json=body).json()["reply"] == "/v1/embeddings"
        assert upstream.seen == [("/v1/embeddings", body, None)]
        assert captures.counts == {}


def test_web_pages_under_names_of_their_own_cannot_reach_the_server(tmp_path, write_split):
    upstream = Upstream("llama.cpp", TOKENIZERS["chatml"]())
    with recorded(upstream, tmp_path, write_split) as (asking, captures, _):
        for host, status in (("pages.example.com:8766", 400), ("localhost", 200), ("host.docker.internal:8766", 200)):
            answer = asking.post("/v1/embeddings", json={"input": "x"}, headers={"Host": host})
            assert answer.status_code == status, host
        assert len(upstream.seen) == 2


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/api/chat"])
def test_a_stream_is_passed_on_piece_by_piece(route, tmp_path, write_split):
    upstream = Upstream("llama.cpp", TOKENIZERS["chatml"]())
    with recorded(upstream, tmp_path, write_split) as (asking, captures, _):
        body = {"messages": messages_of(ROWS[1]), "stream": True}
        with asking.stream("POST", route, json=body) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"data: one\n\n"  # the server has not written the second yet
            assert list(captures.rows) == [("test", 1)]
            upstream.gate.set()
            assert b"".join(pieces) == b"data: two\n\n"


@pytest.mark.parametrize("template", [CHATML_ONCE, CHATML_MESSAGES])
@pytest.mark.parametrize("with_tokenizer", [True, False])
@pytest.mark.parametrize("route", ["/api/chat", "/v1/chat/completions", "/api/generate"])
def test_ollamas_prompt_is_rebuilt_from_its_template(template, with_tokenizer, route, tmp_path, write_split):
    tokenizer = TOKENIZERS["chatml"]()
    upstream = Upstream("ollama", tokenizer, template)
    with recorded(upstream, tmp_path, write_split, tokenizer if with_tokenizer else None) as (asking, captures, _):
        system, user = messages_of(ROWS[2])
        body = {"messages": [system, user], "options": {"stop": "<|im_end|>"}}
        if route == "/api/generate":
            body = {"system": system["content"], "prompt": user["content"]}
        asking.post(route, json=body | {"model": "robin"}).raise_for_status()
        asking.post(route, json={"model": "robin"}).raise_for_status()  # only loads the model
        assert captures.counts == {"recorded": 1, "unreadable": 1}
    profile = chat_format.load_profile(tmp_path / "captures.jsonl")
    assert chat_format.prompt_ids(ROWS[2], tokenizer, profile, ("test", 2)) == chat_format.prompt_ids(
        ROWS[2], tokenizer
    )
    assert any("num_ctx" in note for note in profile["notes"])


def test_what_ollama_does_not_show_is_said(tmp_path, write_split):
    tokenizer = TOKENIZERS["chatml"]()
    upstream = Upstream("ollama", tokenizer, '{{ template "x" }}')
    with recorded(upstream, tmp_path, write_split, tokenizer) as (asking, captures, lines):
        asking.post("/api/chat", json={"model": "robin", "messages": messages_of(ROWS[0])})
        asking.post(
            "/api/generate", json={"model": "robin", "prompt": ROWS[1]["messages"][1]["content"], "context": [1]}
        )
        raw = {"model": "robin", "prompt": "Q: " + ROWS[2]["messages"][1]["content"], "raw": True}
        asking.post("/api/generate", json=raw)
        assert captures.counts == {"recorded": 2, "unknown": 1} and "context" in lines[1]
    profile = chat_format.load_profile(tmp_path / "captures.jsonl")
    assert profile["rows"][("test", 0)] == messages_of(ROWS[0]) and "{{ template }}" in profile["notes"][0]
    assert chat_format.prompt_ids(ROWS[2], tokenizer, profile, ("test", 2)) == tokenizer.encode(raw["prompt"])


def test_messages_to_an_unknown_server_are_recorded_as_they_are(tmp_path, write_split):
    tokenizer = TOKENIZERS["chatml"]()
    with recorded(Upstream("unknown", tokenizer), tmp_path, write_split) as (asking, captures, _):
        asking.post("/v1/chat/completions", json={"messages": messages_of(ROWS[0])[1:]})
        parts = [{"role": "user", "content": [{"type": "text", "text": ROWS[1]["messages"][1]["content"]}]}]
        asking.post("/v1/chat/completions", json={"messages": parts})
        asking.post("/v1/completions", json={"prompt": [f"Q: {row['messages'][1]['content']} A:" for row in ROWS[2:]]})
        assert captures.counts == {"recorded": 4}
    profile = chat_format.load_profile(tmp_path / "captures.jsonl")
    assert (
        profile["rows"][("test", 0)] == messages_of(ROWS[0])[1:] and "not one that ftstudy knows" in profile["notes"][0]
    )
    checks = {finding.check for finding in check_parity(ROWS[:2], tokenizer, profile, "here")}
    assert checks == {"parity.default_system", "parity.captured_rows"}


def test_a_server_that_stops_answering_is_said_to_the_app(tmp_path, write_split):
    upstream = Upstream("unknown", TOKENIZERS["chatml"]())
    write_split(tmp_path / "data", "test", ROWS)
    captures = Captures(tmp_path / "captures.jsonl")
    client = httpx.AsyncClient(base_url="http://127.0.0.1:9", trust_env=False)
    app = proxy.application(client, servers.renderer("unknown", client), matching.rows_of(tmp_path / "data"), captures)
    with running(app) as address:
        answer = httpx.post(f"{address}/v1/chat/completions", json={"messages": messages_of(ROWS[0])}, trust_env=False)
        assert answer.status_code == 502 and "did not answer" in answer.text
    assert captures.counts == {} and upstream.seen == []


ODD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"3",
    b'{"messages": 3}',
    b'{"messages": []}',
    b'{"messages": [3]}',
    b'{"messages": [{"role": "user", "content": null}]}',
    b'{"messages": [{"role": "user", "content": {"a": 1}}]}',
    b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "stop": 3, "options": []}',
    b'{"prompt": [[]], "stop": [3]}',
    b'{"prompt": "\\ud800"}',
    json.dumps({"messages": ROWS[0]["messages"][:-1], "chat_template_kwargs": [1], "tools": 5}).encode(),
]


@pytest.mark.parametrize("kind", ["mlx", "ollama", "llama.cpp"])
def test_an_odd_request_gets_its_answer_all_the_same(kind, tmp_path, write_split):
    write_split(tmp_path / "data", "test", ROWS)
    captures, tokenizer = Captures(tmp_path / "captures.jsonl"), TOKENIZERS["chatml"]()

    async def answer(request):
        return JSONResponse({"bytes": len(await request.body())})

    with running(Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])) as address:
        client = httpx.AsyncClient(base_url=address, timeout=None, trust_env=False)
        render = servers.renderer(kind, client, tokenizer)
        app = proxy.application(client, render, matching.rows_of(tmp_path / "data"), captures)
        with running(app) as proxied, httpx.Client(base_url=proxied, timeout=SECONDS, trust_env=False) as asking:
            for route in app_requests.ROUTES:
                for body in ODD_BODIES:
                    assert asking.post(route, content=body).json() == {"bytes": len(body)}
    captures.close()
    assert captured_rows(tmp_path / "captures.jsonl")["broken"] == []


# --- which row ------------------------------------------------------------------------------


def found(rows, asked, done=()):
    indexed = [matching._row(("test", number), row) for number, row in enumerate(rows)]
    return [row for _, row in matching.find(asked, indexed, set(done))]


def chat(*contents):
    turns = tuple({"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents))
    return app_requests.Asked("/api/chat", messages=turns)


def turns(*contents):
    return {"messages": [*chat(*contents).messages, {"role": "assistant", "content": "reply"}]}


@pytest.mark.parametrize(
    "form", ["{user}", " {user}\n", "Context:\n{user}\n\nLast Message: {last}", "Reply to: {last}"]
)
def test_a_request_fits_the_row_whose_texts_it_has(form):
    for number, row in enumerate(ROWS):
        user = row["messages"][1]["content"]
        text = form.format(user=user, last=user.removeprefix("Contact: "))
        assert found(ROWS, chat(text)) == [number]
        assert found(ROWS, app_requests.Asked("/v1/completions", text=f"### Input: {text} ### Output:")) == [number]


def test_earlier_turns_tell_rows_with_the_same_question_apart():
    rows = [turns("hey", "yo", "ok?"), turns("ok?"), turns("sup", "nm", "ok?")]
    for number, row in enumerate(rows):
        assert found(rows, app_requests.Asked("/api/chat", messages=tuple(row["messages"][:-1]))) == [number]


def test_rows_with_the_same_texts_are_taken_in_order():
    rows = [turns("hey"), turns("hey"), turns("hey")]
    assert found(rows, chat("hey")) == [0]
    assert found(rows, chat("hey"), {("test", 0)}) == [1]
    assert found(rows, chat("hey"), {("test", number) for number in range(3)}) == [0]


def test_what_fits_no_row_or_several_is_not_guessed():
    assert found(ROWS, chat("something else entirely")) == []
    assert found([turns("a", "b", "ok?"), turns("c", "d", "ok?")], chat("ok?")) == [0, 1]
    assert found([turns("ok?")], chat("is that ok? I hope")) == []


def test_rows_of_a_prompt_and_its_completion_are_found_too(tmp_path, write_split):
    write_split(tmp_path, "valid", [{"prompt": "what about dinner?", "completion": "yes"}])
    rows = matching.rows_of(tmp_path)
    assert matching.find(chat("what about dinner?"), rows, set()) == [("valid", 0)]


def test_data_without_conversations_is_refused(tmp_path, write_split):
    refused(lambda: matching.rows_of(tmp_path), "no conversations", "--data")
    write_split(tmp_path, "test", [{"text": "hey"}])
    refused(lambda: matching.rows_of(tmp_path, "test"), "no conversations in test")
    refused(lambda: matching.rows_of(tmp_path, "valid"), "valid.jsonl")


# --- the file, the command ------------------------------------------------------------------


def test_the_file_is_private_and_can_be_continued(tmp_path):
    path = tmp_path / "captures.jsonl"
    first = Captures(path)
    assert first.add(("test", 0), [1, 2]) == "recorded" and first.add(("test", 0), [1, 2]) == "repeated"
    assert first.add(("test", 0), [1, 3]) == "changed"
    assert path.stat().st_mode & 0o777 == 0o600
    assert captured_rows(path)["rows"] == {("test", 0): [1, 2]}  # before it is closed
    first.close()
    second = Captures(path)
    assert second.add(("test", 0), [1, 2]) == "repeated" and second.add(("test", 1), "hey") == "recorded"
    second.close()
    assert captured_rows(path) == {"rows": {("test", 0): [1, 2], ("test", 1): "hey"}, "broken": []}


def test_another_file_is_not_written_to(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(example()) + "\n")
    before = path.read_bytes()
    refused(lambda: Captures(path), "train.jsonl", "--out")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "address", ["https://api.example.com", "http://192.168.1.5:8080", "http://127.0.0.1.example.com"]
)
def test_messages_do_not_leave_the_machine_by_accident(address):
    refused(lambda: proxy.checked_server(address, False), "is not this machine", "--allow-remote")
    assert proxy.checked_server(address + "/v1", True) == address


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080/v1", "localhost:11434", "http://[::1]:80"])
def test_servers_on_this_machine_are_taken(address):
    assert proxy.checked_server(address, False).startswith("http")


def test_a_server_that_is_none_is_refused():
    refused(lambda: proxy.checked_server("ftp://localhost", False), "address")
    refused(lambda: proxy.checked_server("", False), "address")


def test_the_socket_is_on_this_machine_alone():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.listen()
        refused(lambda: record.listening(port), str(port), "--port")
    with record.listening(port) as bound:
        assert bound.getsockname() == ("127.0.0.1", port)


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-u", "-m", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_server_is_said(tmp_path, write_split):
    data, port = write_split(tmp_path / "data", "test", ROWS), free_port()
    process = command(
        "ftstudy", "record", "--server", f"127.0.0.1:{port}", "--data", data, "--out", tmp_path / "sent.jsonl"
    )
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and f"No server answers at http://127.0.0.1:{port}" in told


@pytest.mark.slow
@pytest.mark.parametrize("app_system", ["as in training", "another"])
def test_mlx_lm_server_recorded_by_the_command_and_audited(app_system, tiny, tokenizer, tmp_path, write_split):
    data, out, port, own = (
        write_split(tmp_path / "data", "test", ROWS),
        tmp_path / "sent.jsonl",
        free_port(),
        free_port(),
    )
    server = command("mlx_lm.server", "--model", tiny, "--port", port)
    address = f"http://127.0.0.1:{own}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                    break
            time.sleep(0.1)
        arguments = (
            "--server",
            f"http://127.0.0.1:{port}",
            "--data",
            data,
            "--out",
            out,
            "--port",
            own,
            "--model",
            tiny,
        )
        recorder = command("ftstudy", "record", *arguments)
        assert "Recording mlx at" in recorder.stdout.readline()
        time.sleep(0.5)
        for number, row in enumerate(ROWS):
            messages = messages_of(row)
            if app_system == "another":
                messages[0] = messages[0] | {"content": "Be nobody."}
            body = {"messages": messages, "max_tokens": 2, "stream": bool(number % 2)}
            answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=60, trust_env=False)
            assert answer.is_success and ("data: " in answer.text) == body["stream"]
        httpx.post(
            f"{address}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "other"}], "max_tokens": 1},
            trust_env=False,
        )
        recorder.send_signal(signal.SIGINT)
        told, _ = recorder.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    assert recorder.returncode == 0, told
    assert "4 prompts recorded" in told and "1 prompt not recorded: no row of the data fits" in told
    assert told.count("The prompt of mlx_lm.server was rebuilt") == 1
    assert out.stat().st_mode & 0o777 == 0o600
    profile = chat_format.load_profile(out)
    checks = {finding.check for finding in check_parity(ROWS, tokenizer, profile, "here")}
    assert checks == (set() if app_system == "as in training" else {"parity.system_text"})
