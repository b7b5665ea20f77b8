"""Every measurement by its name."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, Protocol, cast

from msgspec import Struct

from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import ClusterBench, Figure


class AnyBench(HttpBench, ClusterBench, Protocol):
    """All that measurements may ask for."""


Measure = Callable[[AnyBench], Figure]


class Measurement(Struct, frozen=True):
    """A measurement, whose module is imported when it is wanted."""

    name: str
    says: str
    """What is compared with what."""

    def load(self) -> Measure:
        """Return the function that measures."""
        module = import_module(f"loadtests.bench.{self.name.replace('-', '_')}")
        return cast("Measure", module.measure)


MEASUREMENTS: Final = {
    measurement.name: measurement
    for measurement in (
        Measurement("hold", "two-seat holds over HTTP, beside a bare application"),
        Measurement("hold-ordinary", "holds, beside an ordinary handler with one Redis call each"),
        Measurement("hold-sql", "holds, beside one PostgreSQL transaction each"),
        Measurement("purchase", "hold and purchase until confirmed, beside holds"),
        Measurement("sold-out", "holds on a show without a seat left, beside a bare application"),
        Measurement("batch", "holds in batches of 100 a request, beside single ones"),
        Measurement("fairness", "one reseller's holds while another floods, beside none"),
        Measurement("script", "server time of a hold in a batch of 64, beside a pipelined SET"),
        Measurement("durable", "holds with appendfsync always, beside everysec"),
        Measurement("record", "sales from stream to committed rows, beside COPY"),
        Measurement("memory", "bytes of Redis by open seat, live hold and sold seat"),
        Measurement("best-available", "server time of four together, beside a single seat"),
        Measurement("queue-serving", "the document that a line polls, beside a bare application"),
        Measurement("queue-join", "numbers given to who joins, beside a bare application"),
        Measurement("queue-memory", "bytes of Redis by who waits, unknown and known"),
        Measurement("live", "ten thousand watchers while a show sells, beside one"),
        Measurement("search", "events found among 100 000 shows, beside ILIKE"),
        Measurement("catalog", "2 000 resellers with 50 shows each: at rest, listed, opened"),
        Measurement("opening", "drafts of 60 000 seats, from the call to the first hold"),
        Measurement("recovery", "a show of 60 000 seats, from its server's return to a hold"),
        Measurement("recovery-many", "a thousand shows, from their server's return to holds"),
        Measurement("migration", "a show that moves to another node of a cluster, until it sells"),
        Measurement("failover", "purchases on a cluster, from the election until they go on"),
    )
}
