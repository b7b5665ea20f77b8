"""`./onsale test`."""

import os
import sys

import click

from ops.places import ROOT


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def command(pytest_args: tuple[str, ...]) -> None:
    r"""Run the tests against real servers that they start themselves.

    Everything after `test` goes to pytest. Without `-n` the tests run in three processes, each with
    servers of its own; the tests of one module stay together.

    \b
    Examples:
      ./onsale test
      ./onsale test tests/ops -k restarts -n 0
    """
    words = [sys.executable, "-m", "pytest"]
    if not any(word.startswith(("-n", "--numprocesses", "--pdb")) for word in pytest_args):
        # One more than the cores of a small machine: half of their time tests wait for something.
        words += ["-n", "3", "--dist", "loadscope"]
    os.chdir(ROOT)
    os.execv(sys.executable, [*words, *pytest_args])  # noqa: S606 -- pytest takes our place
