"""How the scenarios talk to their target, and what counts as a failure.

A 409 or a 410 is the sale's answer. A 503 or a 429 that says when to come again is obeyed, repeated
with the same key, and counted apart. Everything else that is not asked for is a failure: another
5xx, a 4xx, a connection that breaks, an answer that does not come in time. After those of them that
tell nothing about the outcome the request is repeated, too, as a shop must.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from uuid import uuid4

import gevent
import msgspec
from locust import FastHttpUser, events
from locust.contrib.fasthttp import FastResponse
from locust.env import Environment
from locust.exception import StopUser
from msgspec import Struct
from onsale_client import NoAnswerError, Onsale, Repeats, Request, Response
from onsale_client.wire import TransportError

from loadtests.scenarios.hall import Hall
from loadtests.spike.seconds import FAILED, IN_A_BATCH, SUFFIX, TOLD_TO_WAIT, SecondsWriter

SALES_ANSWERS: Final = frozenset({409, 410})

_REPEATS: Final = Repeats(tries=5, total_s=120.0, first_pause_s=0.3, pause_s_max=30.0)
_COME_AGAIN: Final = frozenset({429, 503})
_NO_ANSWER: Final = 0
_REFUSED: Final = 400
_SERVER_ERROR: Final = 500
_ANSWER_TIMEOUT_S: Final = 10.0
_CONNECT_TIMEOUT_S: Final = 5.0
_BODY_SHOWN: Final = 300
_PARENT_LOOKED_AT_S: Final = 1.0
_STATUS: Final = "status"

Statuses = tuple[int, ...]


class Told(Struct, frozen=True):
    """An answer that tells the outcome."""

    status: int
    body: bytes
    etag: str | None
    took_ms: float

    def json(self) -> dict[str, Any]:
        """Return the body's object."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


class Asking(Struct, frozen=True):
    """A request."""

    method: str
    path: str
    name: str
    """Under which it is counted."""
    well: Statuses
    """What it asks for; beside these only the sale's answers are no failures."""
    body: object = None
    headers: Mapping[str, str] = {}
    key: str | None = None
    """The idempotency key, the same in all repetitions."""
    needs_key: bool = True
    """Whether it is a reseller's, with their API key."""


class Visitor(FastHttpUser):
    """Somebody at the target show, on a connection of their own."""

    abstract = True
    network_timeout = _ANSWER_TIMEOUT_S
    connection_timeout = _CONNECT_TIMEOUT_S

    luck: ClassVar = random.Random()  # noqa: S311 -- dice, no secret

    def on_start(self) -> None:
        """Take the target from the environment."""
        self.path = f"/v1/shows/{os.environ['TARGET_SHOW']}"
        self._carrier = Carrier(self)
        key = os.environ["TARGET_API_KEY"]
        self.reseller = Onsale(key, transport=self._carrier, repeats=_REPEATS)
        self.anybody = Onsale(None, transport=self._carrier, repeats=_REPEATS)

    def open_page(self) -> Hall:
        """Look at the show.

        Raises:
            StopUser: it was not to be had.
        """
        return Hall(stop_if_missing(self.get("", "show"), "the show").json())

    def chance(self, share: float) -> bool:
        """Tell whether something happens that happens in this share of the cases."""
        return self.luck.random() < share

    def complain(self, name: str, wrong: str) -> None:
        """Count a failure that no single request shows."""
        self._count("CHECK", name, 0, 0.0, AssertionError(wrong))

    def note_command(
        self, op: str, status: int, body: object, took_ms: float, *, well: bool
    ) -> None:
        """Count one command of a batch, as if it had taken as long as the batch."""
        failure = None if well else AssertionError(f"{status}: {body}")
        self._count("COMMAND", f"{op}{IN_A_BATCH}", status, took_ms, failure)

    def pause(self, least_s: float, most_s: float) -> None:
        """Think."""
        gevent.sleep(self.luck.uniform(least_s, most_s))

    def get(self, what: str, name: str, etag: str | None = None) -> Told | None:
        """Ask for something of the show; None if it was not to be had."""
        headers = {} if etag is None else {"If-None-Match": etag}
        return self.ask(Asking("GET", self.path + what, name, (200, 304), headers=headers))

    def post(
        self, what: str, name: str, body: object, *, key: str | None = None, well: Statuses
    ) -> Told | None:
        """Send a command with a key, the same in all repetitions; None without an outcome."""
        return self.ask(Asking("POST", self.path + what, name, well, body, key=key or uuid4().hex))

    def release(self, hold: str) -> None:
        """Give a hold back."""
        self.ask(Asking("DELETE", f"{self.path}/holds/{hold}", "release", (204,)))

    def ask(self, asking: Asking) -> Told | None:
        """Send a request until it has an outcome; None if it has none after five tries."""
        self._carrier.asking = asking
        onsale = self.reseller if asking.needs_key else self.anybody
        try:
            response = onsale.request(
                asking.method,
                asking.path,
                asking.body,
                key=asking.key,
                headers=asking.headers,
                is_repeatable=True,  # what is lost is asked again, as a shop must
            )
        except NoAnswerError:
            return None
        if response.status in _COME_AGAIN or response.status >= _SERVER_ERROR:
            return None
        etag = response.headers.get("etag")
        return Told(response.status, response.body, etag, response.took_s * 1000)

    def _count(
        self, kind: str, name: str, status: int, took_ms: float, failure: Exception | None
    ) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=took_ms,
            response_length=0,
            response=None,
            context={_STATUS: status},
            exception=failure,
        )


class Carrier:
    """Carries the client's requests over Locust's connection, which counts and judges each."""

    def __init__(self, visitor: Visitor) -> None:
        """Take whose connection it is."""
        self._visitor = visitor
        self.asking = Asking("GET", "/", "", ())
        """What is being asked for: under which name it is counted, and what is no failure."""

    def send(self, request: Request) -> Response:
        """Send a request once.

        Raises:
            TransportError: no answer came.
        """
        began = time.perf_counter()
        with self._visitor.client.request(
            request.method,
            request.path,
            name=self.asking.name,
            data=None if request.content is None else request.content.decode(),
            headers=request.headers,
            catch_response=True,
        ) as response:
            status = response.status_code
            headers = {} if response.headers is None else dict(response.headers.items())
            told = {name.lower(): value for name, value in headers.items()}
            if status in _COME_AGAIN and told.get("retry-after", "").isdigit():
                response.request_meta["name"] = f"{self.asking.name}{TOLD_TO_WAIT}"
                response.success()
            elif status in SALES_ANSWERS or status in self.asking.well:
                response.success()
            elif status != _NO_ANSWER:
                response.failure(f"{status}: {(response.text or '')[:_BODY_SHOWN]}")
            # Of no answer at all Locust knows why, and counts it as a failure by itself.
            if status != _NO_ANSWER:
                took_s = time.perf_counter() - began
                return Response(status, told, response.content or b"", took_s)
        raise TransportError(self.asking.name)

    def close(self) -> None:
        """Leave the connection to its visitor."""


def stop_if_missing(told: Told | None, what: str) -> Told:
    """Return what a visitor can't do without.

    Raises:
        StopUser: it was not to be had; Locust counts why.
    """
    if told is None or told.status >= _REFUSED:
        msg = f"{what} was not to be had"
        raise StopUser(msg)
    return told


@events.test_start.add_listener
def _check_target(environment: Environment, **_: object) -> None:
    for variable in ("TARGET_API_KEY", "TARGET_SHOW"):
        if not os.environ.get(variable):
            environment.process_exit_code = 2
            msg = f"{variable} is not set: `./onsale up` prints an API key and a show"
            raise SystemExit(msg)


@events.init.add_listener
def _report_to_spike(environment: Environment, **_: object) -> None:
    """Leave what `./onsale spike` draws, and end when it does, if that is who started us."""
    folder = os.environ.get("SPIKE_FOLDER")
    if not folder:
        return
    writer = SecondsWriter(Path(folder, f"locust-{os.getpid()}{SUFFIX}"))
    environment.events.request.add_listener(_noting(writer))
    environment.events.quitting.add_listener(_closing(writer))
    gevent.spawn(_end_with, os.getppid())


def _end_with(parent: int) -> None:
    """Ask ourselves to end as soon as the parent has gone: a web page would stay up for ever."""
    while os.getppid() == parent:
        gevent.sleep(_PARENT_LOOKED_AT_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _noting(writer: SecondsWriter) -> Callable[..., None]:
    def note(
        name: str,
        response_time: float,
        response: FastResponse | None,
        context: Mapping[str, Any],
        exception: Exception | None,
        **_: object,
    ) -> None:
        status = context.get(_STATUS, _NO_ANSWER) if response is None else response.status_code
        answer = "none" if status == _NO_ANSWER else str(status)
        writer.note(name, f"{answer}{FAILED}" if exception else answer, int(response_time * 1000))

    return note


def _closing(writer: SecondsWriter) -> Callable[..., None]:
    def close(**_: object) -> None:
        writer.close()

    return close
