"""The server engine against a real HTTP server that samples from a micro checkpoint, and that misbehaves on order."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.decoding import PAPER, Preset
from tuition.benchmarks.scoring.engines.requests import EngineError, EngineSettingError, Generated, Request, row_seed
from tuition.benchmarks.scoring.engines.server import LONGEST_WAIT_SECONDS, TRIES, ServerEngine, server_identity
from tuition.benchmarks.scoring.engines.transformers_engine import TransformersEngine
from tuition.benchmarks.scoring.sampling import Decoding, Stream, encode_prompts, end_ids, generate_ids
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.benchmarks.scoring.scorer import Scorer, Task
from tuition.benchmarks.suites.catalog import load_by_name

STUDENT = Path(__file__).parents[4] / "runners" / "scenarios" / "micro" / "student"
SAMPLED = Preset(Decoding("sampled", 1.0, 1.0, 0, 24), 2, {})
STREAM = Stream(0)  # which no server draws from
REQUESTS = [Request(f"1{n}k=", n) for n in range(4)]


@dataclass
class Server:
    """`faults` are served first, one a request: a status, raw bytes, or None to hang up.

    A field that a request lacks is taken from `defaults`, as `vllm serve` takes it from the model's folder. A request
    with one of `unknown` is refused as by OpenAI's API, which names one of them.
    """

    model: Any
    tokenizer: Any
    faults: list[Any] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=lambda: {"top_k": 1})
    unknown: tuple[str, ...] = ()
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0
    most_at_once: int = 0

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
        top_k = max(0, body.get("top_k", self.defaults["top_k"]))
        decoding = Decoding("d", body["temperature"], body["top_p"], top_k, body["max_tokens"])
        with self.lock:
            (ids,) = generate_ids(
                self.model, self.tokenizer, encode_prompts(self.tokenizer, [prompt]), decoding, body["seed"], 1
            )
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        reason = "stop" if ids[-1] in end_ids(self.model, self.tokenizer) else "length"
        choice: dict[str, Any] = {"finish_reason": reason}
        choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        return {"choices": [choice], "usage": {"completion_tokens": len(ids)}}


def handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                server.bodies.append(body)
                server.paths.append(self.path)
                server.headers.append(dict(self.headers))
                fault = server.faults.pop(0) if server.faults else "none"
                unknown = next((name for name in server.unknown if name in body), None)
            if unknown is not None:
                self.answer(400, json.dumps({"error": {"message": f"Unrecognized argument: {unknown}"}}).encode())
                return
            try:
                drawn = server.complete(body) if fault == "none" else None
            finally:
                # Before the answer goes out: its reader may send the next request at once.
                with server.lock:
                    server.at_once -= 1
            if fault is None:
                self.connection.shutdown(socket.SHUT_RDWR)
            elif isinstance(fault, tuple):
                self.answer(fault[0], b"trouble", fault[1])
            elif isinstance(fault, bytes):
                self.answer(200, fault)
            else:
                self.answer(200, json.dumps(drawn).encode())

        def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(STUDENT, padding_side="left")


@pytest.fixture
def server(loaded: tuple[Any, Any]) -> Iterator[Server]:
    server = Server(*loaded)
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(server))
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    http.shutdown()
    http.server_close()
    thread.join()


def ask(
    server: Server, requests: list[Request], preset: Preset = SAMPLED, concurrency: int = 4
) -> tuple[list[Generated], list[float]]:
    waits: list[float] = []
    engine = ServerEngine(server.url, "student", concurrency, waits.append)
    try:
        drawn, stream = engine.generate(requests, preset, STREAM)
        assert stream == STREAM
        return drawn, waits
    finally:
        engine.close()


def test_completions_are_those_of_the_model_in_order_each_by_its_seed(server: Server, loaded: tuple[Any, Any]) -> None:
    drawn, waits = ask(server, REQUESTS)
    model, tokenizer = loaded
    for request, one in zip(REQUESTS, drawn, strict=True):
        prompts = encode_prompts(tokenizer, [request.prompt])
        (ids,) = generate_ids(model, tokenizer, prompts, SAMPLED.decoding, row_seed(0, request.row), 1)
        assert one == Generated(
            tokenizer.decode(ids, skip_special_tokens=True), len(ids), ids[-1] not in end_ids(*loaded)
        )
    assert waits == [] and set(server.paths) == {"/v1/completions"}
    assert {body["seed"] for body in server.bodies} == {row_seed(0, row) for row in range(4)}
    assert all(body["model"] == "student" for body in server.bodies)
    assert ask(server, REQUESTS)[0] == drawn


def test_every_request_says_all_that_decides_a_draw(server: Server) -> None:
    ask(server, REQUESTS)
    asked = [{name: value for name, value in body.items() if name not in ("prompt", "seed")} for body in server.bodies]
    neutral = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    own = {"model": "student", "max_tokens": 24, "temperature": 1.0, "top_p": 1.0, "top_k": -1}
    assert asked == [{**own, **neutral}] * 4


def test_what_a_server_does_not_take_is_left_out_and_written_down(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    plain, _ = ask(server, REQUESTS)
    server.unknown, server.defaults = ("min_p", "top_k"), {"top_k": 0}
    engine = ServerEngine(server.url, "student", 1)
    assert engine.generate(REQUESTS, SAMPLED, STREAM) == (plain, STREAM)
    assert engine.in_effect(SAMPLED).not_sent == ("min_p", "top_k")
    assert len(server.bodies) == 4 + 2 + 4 and "repetition_penalty" in server.bodies[-1]
    assert "takes no top_k: its own default is in effect" in caplog.text
    with pytest.raises(EngineError, match=r"takes no top_k, and preset sampled\[top_k=5\] has top_k=5: choose"):
        ask(server, REQUESTS, SAMPLED.overridden(top_k=5))
    engine.close()


def test_a_cut_completion_is_marked(server: Server) -> None:
    short = SAMPLED.overridden(max_new_tokens=2)
    drawn, _ = ask(server, REQUESTS, short)
    assert [(one.num_tokens, one.truncated) for one in drawn] == [(2, True)] * 4


def test_messages_go_to_the_chat_endpoint_with_the_templates_variables(server: Server) -> None:
    chat = PAPER.overridden(max_new_tokens=3, top_k=5, prompt_suffix="")
    ask(server, [Request([{"role": "user", "content": "1+2="}], 7)], chat)
    (body,) = server.bodies
    assert server.paths == ["/v1/chat/completions"]
    assert body["messages"] == [{"role": "user", "content": "1+2="}]
    assert body["chat_template_kwargs"] == {"enable_thinking": False} and body["top_k"] == 5


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ((429, {"Retry-After": "3"}), 3.0),
        ((429, {"Retry-After": "100000"}), LONGEST_WAIT_SECONDS),
        ((429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 0.5),
        ((500, {}), 0.5),
        ((503, {}), 0.5),
        (None, 0.5),
        (b"<html>busy</html>", 0.5),
        (b"[" * 100_000, 0.5),
        (b'{"choices": []}', 0.5),
        (b'{"choices": [{"text": "x", "finish_reason": "stop"}]}', 0.5),
        (b'{"choices": [{"text": 5, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}', 0.5),
        (b'{"choices": [{"text": "x", "finish_reason": "error"}], "usage": {"completion_tokens": 1}}', 0.5),
        (b'{"choices": [{"text": "x", "finish_reason": "stop"}], "usage": {"completion_tokens": -1}}', 0.5),
    ],
)
def test_passing_trouble_and_garbage_are_asked_again(server: Server, fault: Any, wait: float) -> None:
    plain, _ = ask(server, REQUESTS[:1])
    server.faults = [fault]
    assert ask(server, REQUESTS[:1]) == (plain, [wait])


def test_waits_grow_and_end_in_one_line(server: Server) -> None:
    server.faults = [(502, {})] * TRIES
    waits: list[float] = []
    engine = ServerEngine(server.url, "student", 1, waits.append)
    with pytest.raises(
        EngineError, match=r"failed 6 times, last: status 502: trouble.*rerun the same command to resume"
    ) as error:
        engine.generate(REQUESTS[:1], SAMPLED, STREAM)
    engine.close()
    assert waits == [0.5, 1, 2, 4, 8] and "\n" not in str(error.value)


def test_a_refusal_is_not_asked_again(server: Server) -> None:
    server.faults = [(404, {})]
    with pytest.raises(EngineError, match="refused with status 404: trouble"):
        ask(server, REQUESTS[:1])
    assert len(server.bodies) == 1


def test_half_a_surrogate_pair_and_no_content_are_text_all_the_same(server: Server) -> None:
    server.faults = [
        b'{"choices": [{"text": "a\\ud800b", "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}'
    ]
    assert ask(server, REQUESTS[:1])[0] == [Generated("a?b", 2, False)]
    empty = (
        b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}], "usage": {"completion_tokens": 9}}'
    )
    server.faults = [empty]
    chat = Request([{"role": "user", "content": "1+2="}], 7)
    assert ask(server, [chat], PAPER)[0] == [Generated("", 9, True)]


def test_no_more_requests_at_once_than_allowed(server: Server) -> None:
    ask(server, REQUESTS * 3, concurrency=2)
    assert len(server.bodies) == 12 and server.most_at_once <= 2


def test_a_key_goes_into_the_header_and_nowhere_else(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    engine = ServerEngine(server.url, "student")
    engine.generate(REQUESTS[:1], SAMPLED, STREAM)
    engine.close()
    assert server.headers[0]["Authorization"] == "Bearer sesame"
    assert "sesame" not in server_identity(server.url) and "sesame" not in json.dumps(server.bodies)


@pytest.mark.parametrize(
    ("url", "message"),
    [("localhost:8000", "give http"), ("ftp://h/v1", "give http"), ("http://me:pw@h/v1", "password")],
)
def test_urls_that_cannot_be_used_are_refused(url: str, message: str) -> None:
    with pytest.raises(EngineSettingError, match=message) as error:
        ServerEngine(url, "m")
    assert "pw" not in str(error.value)


def test_a_dead_server_is_tried_and_then_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    engine = ServerEngine(url, "m", sleep=lambda seconds: None)
    with pytest.raises(EngineError, match="ConnectError"):
        engine.generate(REQUESTS[:1], SAMPLED, STREAM)
    engine.close()


def test_a_score_through_a_server_that_fails_and_comes_back_equals_an_undisturbed_one(
    server: Server, tmp_path: Path
) -> None:
    suite = load_by_name("micro").first(5)
    model = ScoredModel(label="student", served=server.url)
    task = Task(model, "served", suite, "test", SAMPLED, 2, 0, server_identity(server.url), batch_size=4)

    def score(folder: Path, faults: list[Any]) -> Any:
        server.faults = faults
        engine = ServerEngine(server.url, "student", 2, lambda seconds: None)
        try:
            with Grader() as grader:
                scorer = Scorer(ResultsFolder(folder), grader)
                return scorer.score(task, lambda: nullcontext(engine), lambda *_: None)
        finally:
            engine.close()

    whole = score(tmp_path / "whole", [])
    with pytest.raises(EngineError):
        score(tmp_path / "parts", ["none"] * 4 + [(500, {})] * 2 * TRIES * 2)
    resumed = score(tmp_path / "parts", [None, (429, {}), b"garbage"])
    assert resumed.record.samples_resumed == 4 and resumed.record.gpu_seconds is None
    assert resumed.table.equals(whole.table)


def test_greedy_answers_of_server_and_transformers_are_the_same(server: Server, loaded: tuple[Any, Any]) -> None:
    greedy = Preset(Decoding("greedy", 0.0, 1.0, 0, 24), 1, {})
    engine = TransformersEngine(*loaded)
    prompts = engine.encode([request.prompt for request in REQUESTS], greedy)
    here, _ = engine.generate([Request(ids, 0) for ids in prompts], greedy, STREAM)
    assert ask(server, REQUESTS, greedy)[0] == here
