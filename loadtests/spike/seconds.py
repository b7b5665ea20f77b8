"""What was answered in each second: the one form in which every load generator here reports.

A generator appends a JSON object a second to a file of its own. The files are read while they
grow, to show how it goes, and once more at the end.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from loadtests.spike.histogram import Histogram, bucket_of

SUFFIX: Final = ".seconds"

FAILED: Final = " failed"
"""Ends an answer of a Locust scenario that may not be."""
TOLD_TO_WAIT: Final = ": told to wait"
"""Ends the kind of a request that was answered 503, with a time to come again."""
IN_A_BATCH: Final = " in a batch"
"""Ends the kind of a command that was no request of its own."""


class Second(Struct, frozen=True):
    """One second of one generator."""

    at: int
    """Seconds since 1970."""
    answers: dict[str, dict[str, int]]
    """How many, by kind of request and by how it was answered: a status, or a word for none."""
    took: dict[str, list[int]]
    """By kind of request, `[bucket, count, ...]` as in histogram.py."""


class SecondsWriter:
    """Counts answers and appends each second that is over to a file."""

    def __init__(self, path: Path) -> None:
        """Open the file, empty."""
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._at = int(time.time())
        self._answers: dict[str, Counter[str]] = {}
        self._took: dict[str, Counter[int]] = {}

    def note(self, kind: str, answer: str, took_us: int) -> None:
        """Count one answer that came just now."""
        now = int(time.time())
        if now != self._at:
            self.flush()
            self._at = now
        self._answers.setdefault(kind, Counter())[answer] += 1
        self._took.setdefault(kind, Counter())[bucket_of(took_us)] += 1

    def flush(self) -> None:
        """Write what was counted since the last time."""
        if not self._answers:
            return
        second = Second(
            at=self._at,
            answers={kind: dict(counts) for kind, counts in self._answers.items()},
            took={
                kind: [number for pair in counts.items() for number in pair]
                for kind, counts in self._took.items()
            },
        )
        self._file.write(msgspec.json.encode(second) + b"\n")
        self._answers.clear()
        self._took.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._file.close()


class Moment(Struct, frozen=True):
    """One second of the run, all generators together."""

    at: int
    answered: int
    p50_ms: float
    p99_ms: float


class Counted(Struct, frozen=True):
    """A whole run, as the generators counted it."""

    answers: dict[str, dict[str, int]]
    """By kind of request and by how it was answered."""
    took: dict[str, Histogram]
    """By kind of request."""
    moments: list[Moment]
    """In order; a second in which nothing was answered has one with zeros."""

    @property
    def answered(self) -> int:
        """How many answers there were in all."""
        return sum(sum(counts.values()) for counts in self.answers.values())

    @property
    def all_took(self) -> Histogram:
        """Return all requests, whatever their kind."""
        whole = Histogram()
        for part in self.took.values():
            whole.add(part)
        return whole


def count(seconds: Iterable[Second], only: Callable[[str], bool] = lambda _kind: True) -> Counted:
    """Add up the seconds of all generators, of all kinds of requests or of some."""
    answers: dict[str, Counter[str]] = {}
    took: dict[str, Histogram] = {}
    moments: dict[int, tuple[int, Histogram]] = {}
    for second in seconds:
        answered, in_moment = moments.setdefault(second.at, (0, Histogram()))
        for kind, counts in second.answers.items():
            if only(kind):
                answers.setdefault(kind, Counter()).update(counts)
                took.setdefault(kind, Histogram()).add_pairs(second.took[kind])
                in_moment.add_pairs(second.took[kind])
                answered += sum(counts.values())
        moments[second.at] = (answered, in_moment)
    return Counted(
        answers={kind: dict(counts) for kind, counts in answers.items()},
        took=took,
        moments=[
            Moment(at, answered, of.percentile_ms(0.5), of.percentile_ms(0.99))
            for at in range(min(moments), max(moments) + 1)
            for answered, of in (moments.get(at, (0, Histogram())),)
        ]
        if moments
        else [],
    )


class SecondsReader:
    """Reads what generators have written into a folder since the last look."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is read yet."""
        self._folder = folder
        self._read: Counter[Path] = Counter()
        self._decode = msgspec.json.Decoder(Second).decode

    def read_on(self) -> list[Second]:
        """Return the seconds that are new, as far as their lines are whole."""
        found: list[Second] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            with path.open("rb") as file:
                file.seek(self._read[path])
                whole, end, _unfinished = file.read().rpartition(b"\n")
            self._read[path] += len(whole + end)
            found += map(self._decode, whole.splitlines())
        return found


def read_seconds(folder: Path) -> list[Second]:
    """Return all seconds of all generators."""
    return SecondsReader(folder).read_on()
