"""How many visitors there are when: Locust's load shapes, which heed its usual options.

`--users` is how many at the most, `--spawn-rate` how many come a second, `--run-time` how long;
without the last a shape goes on until it is stopped.
"""

from abc import abstractmethod
from argparse import Namespace
from typing import ClassVar, Final

from locust import LoadTestShape

_USERS: Final = 10
_FULL_AT: Final = 0.75
_FULL_S_UNTIMED: Final = 120.0
_RAMP_SHARE: Final = 0.05
_RAMP_S_MAX: Final = 120.0

Tick = tuple[int, float]
"""How many users there should be, and how many may come or go in a second."""


class Shape(LoadTestShape):
    """A shape that takes its size from Locust's options, also as changed on its web page."""

    abstract: ClassVar[bool] = True
    use_common_options: ClassVar[bool] = True

    def tick(self) -> Tick | None:
        """Tell what should be now; None once it is over."""
        options = self._options()
        users: int = getattr(options, "num_users", None) or _USERS
        rate: float = getattr(options, "spawn_rate", None) or users
        length_s: float | None = getattr(options, "run_time", None)
        now_s = self.get_run_time()
        if length_s is not None and now_s >= length_s:
            return None
        return self.at(now_s, length_s, users, rate)

    @abstractmethod
    def at(self, now_s: float, length_s: float | None, users: int, rate: float) -> Tick:
        """Tell what should be at a moment of a run of this length, if it has one."""

    def _options(self) -> Namespace | None:
        return None if self.runner is None else self.runner.environment.parsed_options


class AllAtOnce(Shape):
    """Everyone comes at the start, as fast as the spawn rate lets them, and stays."""

    abstract = True

    def at(self, now_s: float, length_s: float | None, users: int, rate: float) -> Tick:  # noqa: ARG002 -- the same throughout
        """Tell that all should be here."""
        return users, rate


class BuildUp(Shape):
    """Visitors become more and more until three quarters of the time are over."""

    abstract = True

    def at(self, now_s: float, length_s: float | None, users: int, rate: float) -> Tick:
        """Tell how far the build-up is; a run without an end is full after two minutes."""
        full_s = _FULL_S_UNTIMED if length_s is None else _FULL_AT * length_s
        return max(1, min(users, round(users * now_s / full_s))), rate


class Plateau(Shape):
    """A slow rise, a steady rate, and a slow fall: a twentieth of the time each, 2 min at most."""

    abstract = True

    def at(self, now_s: float, length_s: float | None, users: int, rate: float) -> Tick:
        """Tell where on the plateau or its slopes the run is; one without an end has no fall."""
        ramp_s = _RAMP_S_MAX
        left_s = ramp_s
        if length_s is not None:
            ramp_s = min(ramp_s, _RAMP_SHARE * length_s)
            left_s = length_s - now_s
        return max(1, round(users * min(1.0, now_s / ramp_s, left_s / ramp_s))), rate
