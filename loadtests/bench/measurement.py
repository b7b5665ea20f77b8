"""What a measurement is handed, and what it gives back."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from statistics import median
from typing import Any, Protocol

from msgspec import Struct

from engine.platform.settings import Settings


class Site(Struct, frozen=True, kw_only=True):
    """A running throw-away platform with one reseller, as a measurement sees it."""

    base_url: str
    api_key: str
    settings: Settings
    new_key: Callable[[str], str]
    """Make another reseller of this name and return their API key."""
    processes: Callable[[], Mapping[str, list[int]]]
    """Process ids by part: valkey, postgres, api, worker; each with its descendants."""
    pause_worker: Callable[[], None]
    """Stop the recorder where it is (SIGSTOP); sales pile up in their streams."""
    resume_worker: Callable[[], None]
    restart_store: Callable[[float], None]
    """Kill the store's server (SIGKILL), start it again so many seconds later, and return when it
    has read its data."""


class ClusterSite(Struct, frozen=True, kw_only=True):
    """A site whose shows are on a cluster. A key names the node that has it."""

    site: Site
    move_key: Callable[[str], None]
    """Move a key's slot, with all its keys, to another node; returns when that has it."""
    lose_primary: Callable[[str], float]
    """Kill a key's node (SIGKILL) and leave it down; returns the monotonic time when another was
    seen to have the key."""
    restore_primaries: Callable[[], None]
    """Start again what was lost; returns when every primary has a replica with all data."""


class Bench(Protocol):
    """What a measurement may ask for."""

    rounds: int
    """How many alternating rounds; 5 or more for a figure that is published."""

    def open_site(self, **settings: str) -> AbstractContextManager[Site]:
        """Start a platform whose processes have these settings beside the usual ones."""
        ...

    def say(self, line: str) -> None:
        """Tell who watches how far it is."""
        ...


class ClusterBench(Bench, Protocol):
    """What a measurement of a cluster may ask for, beside what every measurement may."""

    def open_cluster_site(self, **settings: str) -> AbstractContextManager[ClusterSite]:
        """Start such a platform with its shows on an embedded cluster of six."""
        ...


class Figure(Struct, frozen=True, kw_only=True):
    """A measured value, beside its control where it has one."""

    name: str
    value: float
    unit: str
    control: float | None
    control_unit: str | None
    ratio: float | None
    """value / control."""
    target: str
    """What it should reach, in words: `at least 0.42 of the control`."""
    met: bool
    rounds: list[tuple[float, float | None]]
    details: dict[str, Any]
    """Absolute figures beside the main ones, CPU seconds by process, the load generator."""
    settings: dict[str, Any]


class Rounds(Struct, frozen=True):
    """Pairs of value and control, measured in turns."""

    pairs: list[tuple[float, float]]

    @property
    def value(self) -> float:
        """The median of the values."""
        return median(value for value, _ in self.pairs)

    @property
    def control(self) -> float:
        """The median of the controls."""
        return median(control for _, control in self.pairs)

    @property
    def ratio(self) -> float:
        """The median value for each of the median control."""
        return self.value / self.control


def alternate(
    rounds: int, value: Callable[[int], float], control: Callable[[int], float]
) -> Rounds:
    """Measure value, control, value, control ...; each gets the round's number, from 0."""
    return Rounds([(value(n), control(n)) for n in range(rounds)])
