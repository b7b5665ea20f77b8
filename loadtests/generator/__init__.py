"""The load generator: a compiled one (wrk) where there is one, otherwise one in Python."""

from loadtests.generator.choosing import choose_generator
from loadtests.generator.finding import find_generator
from loadtests.generator.load import Generator, Load, LoadResult, write_requests
from loadtests.generator.wrk import GeneratorError, WrkResult, run_wrk

__all__ = [
    "Generator",
    "GeneratorError",
    "Load",
    "LoadResult",
    "WrkResult",
    "choose_generator",
    "find_generator",
    "run_wrk",
    "write_requests",
]
