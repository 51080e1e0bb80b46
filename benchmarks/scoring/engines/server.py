"""The server engine: completions from any OpenAI-compatible server, by URL (vLLM, SGLang, llama.cpp, a provider).

What: plain prompts go to `/completions`, messages to `/chat/completions`; requests run side by side, at most
`concurrency` at once. Lost connections, 408, 429, 5xx and answers that are not what was asked for are tried again,
waiting twice as long each time, or as long as `Retry-After` says.

Simplified: one completion per request. Whose weights the server has cannot be checked, and the score's record says so.
Every request carries its own seed; whether the server heeds it, nobody can tell from here.

Every field that decides a draw is sent with every request, because a server fills what is left out from its own
defaults, and those of `vllm serve` are the model's. OpenAI's own API refuses three of them (`EXTENSIONS`) with status
400; they are then left out if the preset has them at their neutral values, and the score's record says so.
`chat_template_kwargs` is sent only where a preset has variables for the template.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx

from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.effective_decoding import NEUTRAL_IN_REQUESTS, EffectiveDecoding
from tuition.benchmarks.scoring.engines.requests import (
    EngineError,
    EngineSettingError,
    Generated,
    OneAtATime,
    Request,
    row_seed,
)
from tuition.benchmarks.scoring.sampling import Prompt, Stream

logger = logging.getLogger(__name__)

API_KEY_VARIABLE = "OPENAI_API_KEY"
EXTENSIONS = ("top_k", "min_p", "repetition_penalty")
"""Fields that OpenAI's API lacks; vLLM, SGLang and llama.cpp have them. Of these a preset chooses `top_k` only."""
TRIES = 6
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
# A completion of 16,384 tokens on a busy server takes minutes before its first byte.
TIMEOUT = httpx.Timeout(10.0, read=3600.0, write=60.0, pool=None)
TRY_AGAIN = {408, 409, 425, 429}


class _Passing(Exception):
    """Something that may be better at the next try. `wait_seconds` is what the server asked for."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def server_identity(url: str) -> str:
    """What decides a draw besides weights and decoding: the server, by its address."""
    return f"server {url.rstrip('/')}, a seed each, every field sent"


class ServerEngine(OneAtATime):
    """Asks `url` (up to and with `/v1`) for completions of the model that it serves as `model`.

    `sleep` waits between tries.
    """

    def __init__(
        self,
        url: str,
        model: str,
        concurrency: int = 16,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EngineSettingError(f"url {url!r}: give http://HOST:PORT/v1 or https://HOST/v1")
        if parts.username or parts.password:
            raise EngineSettingError(
                f"url of {parts.hostname!r} holds a user or password: set {API_KEY_VARIABLE} instead"
            )
        if concurrency < 1:
            raise EngineSettingError(f"concurrency is {concurrency}; give 1 or more")
        self.device = None  # somebody else's
        self.url = url.rstrip("/")
        self.model = model
        self.not_sent: tuple[str, ...] = ()
        """Fields that the server has refused."""
        self._sleep = sleep
        key = os.environ.get(API_KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=concurrency)
        # Redirects could carry the key to another host; httpx does not follow them unless told to.
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT, limits=limits)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="completion")

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        """Nothing: whether the server has a chat template shows when it is asked."""

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[Prompt]:
        """Prompts as they are: the server encodes them."""
        return list(prompts)

    def generate(
        self, requests: Sequence[Request[Prompt]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        """Completions, in order, each by its seed. EngineError when one was refused, or failed at every try."""
        futures = [
            self._pool.submit(self._one, request, preset, row_seed(stream.seed, request.row)) for request in requests
        ]
        try:
            return [future.result() for future in futures], stream
        finally:
            for future in futures:
                future.cancel()

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        """How completions are drawn, as far as the server heeds what it is sent."""
        return EffectiveDecoding.of("server", preset.decoding, None, self.not_sent)

    def close(self) -> None:
        """End the threads and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _one(self, request: Request[Prompt], preset: Preset, seed: int) -> Generated:
        for number in range(TRIES):
            try:
                return self._ask(request, preset, seed)
            except _Passing as trouble:
                if number == TRIES - 1:
                    raise EngineError(
                        f"{self.url} failed {TRIES} times, last: {trouble}; fix the server, then "
                        "rerun the same command to resume"
                    ) from None
                wait = trouble.wait_seconds if trouble.wait_seconds is not None else FIRST_WAIT_SECONDS * 2**number
                self._sleep(min(wait, LONGEST_WAIT_SECONDS))
        raise AssertionError("unreachable")

    def _ask(self, request: Request[Prompt], preset: Preset, seed: int) -> Generated:
        path, body = self._body(request, preset, seed)
        try:
            response = self._client.post(f"{self.url}/{path}", json=body)
        except httpx.TransportError as error:
            raise _Passing(f"{type(error).__name__}: {error}") from None
        shown = one_line(response.text, 200)
        if response.status_code in TRY_AGAIN or response.status_code >= 500:
            raise _Passing(f"status {response.status_code}: {shown}", _retry_after(response))
        if response.status_code == 400 and self._leaves_out(response.text, body, preset):
            return self._ask(request, preset, seed)
        if response.status_code != 200:
            raise EngineError(f"{self.url}/{path} refused with status {response.status_code}: {shown}")
        try:
            return _read(response.json(), chat=preset.decoding.chat_template)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise _Passing(f"the answer is not a completion ({error!r:.80}): {shown}") from None

    def _leaves_out(self, answer: str, body: dict[str, Any], preset: Preset) -> bool:
        """Whether a refused request is to be sent again without the `EXTENSIONS` that the server's answer names.

        EngineError where the preset needs one of them.
        """
        refused = {name for name in EXTENSIONS if name in body and name in answer}
        if "top_k" in refused and preset.decoding.top_k:
            raise EngineError(
                f"{self.url} takes no top_k, and preset {preset.name} has top_k={preset.decoding.top_k}: choose a "
                "preset without it, or a server that takes it"
            )
        if refused - set(self.not_sent):  # several threads may come here
            logger.warning("%s takes no %s: its own default is in effect", self.url, " and no ".join(sorted(refused)))
        self.not_sent = tuple(sorted({*self.not_sent, *refused}))
        return bool(refused)

    def _body(self, request: Request[Prompt], preset: Preset, seed: int) -> tuple[str, dict[str, Any]]:
        decoding = preset.decoding
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k or -1,  # off: 0 is refused by some servers, and left out it is the server's own
            "seed": seed,
            **NEUTRAL_IN_REQUESTS,
        }
        for name in self.not_sent:
            del body[name]
        if isinstance(request.prompt, str):
            return "completions", {**body, "prompt": request.prompt}
        if preset.template:
            body["chat_template_kwargs"] = dict(preset.template)
        return "chat/completions", {**body, "messages": request.prompt}


def _read(document: Any, chat: bool) -> Generated:
    """The completion in a server's answer; ValueError, KeyError, … for anything else."""
    choice = document["choices"][0]
    text = choice["message"]["content"] if chat else choice["text"]
    reason, num_tokens = choice["finish_reason"], document["usage"]["completion_tokens"]
    if text is None:  # a reasoning parser found nothing but thoughts
        text = ""
    if not isinstance(text, str) or not isinstance(num_tokens, int) or num_tokens < 0:
        raise TypeError(f"text is {type(text).__name__}, completion_tokens {num_tokens!r}")
    if reason not in ("stop", "length"):
        raise ValueError(f"finish_reason is {reason!r}")
    # Half a surrogate pair is valid JSON and no valid text.
    return Generated(text.encode("utf-8", "replace").decode(), num_tokens, reason == "length")


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):  # absent, or a date
        return None
