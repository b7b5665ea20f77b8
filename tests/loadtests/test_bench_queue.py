"""The measurements of the waiting room, at a small size, on a real platform."""

import asyncio
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from engine.waitingroom.identities import identity_key, read_identity
from loadtests.bench import queue_join, queue_memory, queue_serving
from loadtests.bench.http_bench import QUICK, BenchError
from loadtests.bench.measurement import Site
from loadtests.bench.queue_requests import QueueRequests
from loadtests.bench.store_side import StoreSide
from loadtests.generator.choosing import PythonGenerator
from ops.resellers import make_reseller
from ops.stack import Stack
from ops.workbench import Workbench, site_of

_PEOPLE = 400


class QuickBench(Workbench):
    """Opens every site on one platform, each with a reseller of its own."""

    def __init__(self, stack: Stack) -> None:
        """Take the platform, which has the settings that the measurements ask for."""
        super().__init__(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)
        self._stack = stack
        self.asked: dict[str, str] = {}

    @contextmanager
    def open_site(self, **settings: str) -> Generator[Site]:
        """Return the platform, and note what was asked of it."""
        self.asked = settings
        key = asyncio.run(make_reseller(self._stack.settings, "Bench"))
        yield site_of(self._stack, key.text)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickBench]:
    """A platform on which one address may join as often as a generator can."""
    limits = {f"ONSALE_{name.upper()}": value for name, value in queue_serving.LIMITS.items()}
    with Stack(tmp_path_factory.mktemp("bench"), environment=limits) as stack:
        yield QuickBench(stack)


@pytest.mark.timeout(90)
def test_the_document_is_measured_beside_a_constant_and_while_people_join(
    bench: QuickBench,
) -> None:
    """All is answered 200, the joins too, at the rate that was set."""
    figure = queue_serving.measure(bench)
    assert figure.control is not None
    assert min(figure.value, figure.control) > 0
    with_joins = figure.details["with_joins"]
    assert with_joins["answered"] == QUICK.requests_max + QUICK.warm_up
    assert with_joins["ratio"] == pytest.approx(with_joins["rate"] / figure.control, abs=0.01)
    assert with_joins["joins"] > 50
    assert with_joins["joins_per_s"] <= 1.1 * with_joins["joins_per_s_set"]
    assert figure.settings["audit"] == "clean"
    assert bench.asked == queue_serving.LIMITS


@pytest.mark.timeout(90)
def test_joins_are_measured_beside_a_constant(bench: QuickBench) -> None:
    """Everybody who is told a number has got one, for which the store was written to disk."""
    figure = queue_join.measure(bench)
    assert figure.control is not None
    assert min(figure.value, figure.control) > 0
    assert figure.settings["numbers_given"] == QUICK.requests_max + QUICK.warm_up
    assert figure.settings["appendfsync"] == "always"


@pytest.mark.timeout(90)
def test_memory_is_read_of_who_is_unknown_who_has_left_and_who_is_vouched_for(
    bench: QuickBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining takes nothing, leaving a bit, an identity some bytes; no number is given twice."""
    monkeypatch.setattr(queue_memory, "_REHEARSAL", 50)
    figure = queue_memory.measure(bench, _PEOPLE)
    joined, left, known = (figure.details[name] for name in ("joined", "left", "vouched_for"))
    assert figure.details["distinct_numbers"] == 2 * _PEOPLE
    assert "queue-used" not in joined["by_key"]
    assert left["by_key"]["queue-used"] * _PEOPLE >= _PEOPLE / 8
    assert known["by_key"]["queue:i:"] * _PEOPLE > 10 * _PEOPLE
    assert figure.details["unknown"] <= figure.details["unknown_all_bits_set"] == figure.value
    assert figure.details["known"] > 10


def test_numbers_that_are_given_twice_fail_the_measurement(
    bench: QuickBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little they take."""
    monkeypatch.setattr(queue_memory, "_REHEARSAL", 20)
    monkeypatch.setattr(queue_memory, "_decode", _halve)
    with pytest.raises(BenchError, match="given twice"):
        queue_memory.measure(bench, 50)


def test_a_number_is_counted_by_what_the_store_has_given(bench: QuickBench) -> None:
    """And a show without a waiting room has given none."""
    with (
        bench.open_site() as site,
        StoreSide(site.settings.redis_url) as store,
    ):
        assert store.numbers_given("shw_dev_00000000deadbee7") == 0


# ---------------------------------------------------------------- requests


def test_an_identity_is_what_a_reseller_signs() -> None:
    """The engine reads it as the buyer's, for that show and by that reseller's key only."""
    key = identity_key(b"s" * 32, 7)
    signed = QueueRequests("shw_dev_1").identity(key, "b-1")
    assert read_identity(key, "shw_dev_1", signed, time.time()).subject == "b-1"
    with pytest.raises(ValueError, match="JWT"):
        read_identity(identity_key(b"s" * 32, 8), "shw_dev_1", signed, time.time())


def test_joins_have_a_body_only_with_an_identity() -> None:
    """No key, and a length that fits."""
    requests = QueueRequests("shw_dev_1")
    unknown, known = requests.join(), requests.join("a.b.c")
    assert unknown.startswith(b"POST /v1/shows/shw_dev_1/queue HTTP/1.1\r\n")
    assert unknown.endswith(b"Content-Length: 0\r\n\r\n")
    head, _, body = known.partition(b"\r\n\r\n")
    assert msgspec.json.decode(body) == {"identity": "a.b.c"}
    assert b"Content-Length: %d" % len(body) in head
    assert b"Queue-Token: t\r\n" in requests.leave("t")
    assert all(b"authorization" not in request.lower() for request in (unknown, known))


def _halve(line: bytes) -> queue_memory.Given:
    given = msgspec.json.decode(line, type=queue_memory.Given)
    return queue_memory.Given(given.number // 2, given.token)
