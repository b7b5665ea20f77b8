"""`./onsale up`."""

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Final

import click

from engine.platform.logs import configure_logs
from engine.platform.settings import SettingsError, variable
from ops.child import StackError
from ops.demo_data import ensure_demo, lines_to_try
from ops.places import HOME
from ops.port import Port, PortTakenError, first_free
from ops.stack import Stack

_DEFAULT_PORT: Final = 8000
_PORT_MAX: Final = 65_535
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, _PORT_MAX),
    envvar=variable("port"),
    help=f"The API's port. Left out: {_DEFAULT_PORT}, or the next free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar=variable("host"),
    help="The address that the API listens on; 0.0.0.0 for all.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    envvar=variable("api_workers"),
    help="API processes.",
)
@click.option(
    "--replicas",
    type=click.IntRange(0, 5),
    default=0,
    show_default=True,
    help="Replicas of the embedded Valkey; a purchase waits until all of them have it.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    show_default=".onsale",
    help="Where data, logs and sockets are kept.",
)
@click.option(
    "--cluster", is_flag=True, help="Keep the shows in a cluster: three primaries, three replicas."
)
@click.option("--demo/--no-demo", default=True, help="Load the demo reseller and its show.")
def command(  # noqa: PLR0913 -- each is an option of the command line
    *,
    port: int | None,
    host: str,
    workers: int,
    replicas: int,
    data: Path,
    cluster: bool,
    demo: bool,
) -> None:
    r"""Run the platform on this machine until Ctrl-C.

    Starts Valkey and PostgreSQL (unless ONSALE_REDIS_URL or ONSALE_DATABASE_URL name servers of
    your own), migrates, starts API and worker, and restarts what dies. The data are found again by
    the next `up`.

    \b
    Examples:
      ./onsale up
      ./onsale up --port 9000 --workers 2
      ./onsale up --replicas 1
      ./onsale up --data /srv/onsale --no-demo
      ./onsale up --cluster
    """
    began = time.monotonic()
    _raise_on_signals()
    configure_logs("warning")
    try:
        reserved = _port(host, port)
        with Stack(
            data,
            port=reserved,
            host=host,
            api_workers=workers,
            cluster=cluster,
            replicas=replicas,
            report=_say,
        ) as stack:
            if demo:
                _show_demo(stack)
            _say(f"serving on {stack.base_url} after {time.monotonic() - began:.1f} s")
            _say(f"logs: {stack.logs}")
            _say("Ctrl-C stops everything; the data stay")
            while True:
                time.sleep(3600)
    except _EndedError:
        _say("stopped")


class _EndedError(BaseException):
    """A signal asked for the end."""


def _show_demo(stack: Stack) -> None:
    _say("loading the demo")
    access = ensure_demo(stack.settings, stack.base_url, stack.directory)
    for line in lines_to_try(stack.settings, stack.base_url, access):
        click.echo(line)


def _port(host: str, asked: int | None) -> Port:
    try:
        if asked is not None:
            return Port(host, asked)
        port = first_free(host, _DEFAULT_PORT)
    except PortTakenError as error:
        msg = f"{error}. Choose another with --port, or end the program that has it."
        raise StackError(msg) from error
    except OSError as error:
        msg = f"can't listen on {host}: {error.strerror or error}"
        raise SettingsError(msg) from error
    if port.number != _DEFAULT_PORT:
        _say(f"port {_DEFAULT_PORT} is taken: using {port.number}")
    return port


def _raise_on_signals() -> None:
    """Make the first signal an orderly end, whatever is going on, a second an immediate one."""
    ended = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        if ended:
            # The children die with us: the kernel tells them.
            os._exit(130)
        ended = True
        raise _EndedError

    for number in _ENDING:
        signal.signal(number, on_signal)


def _say(line: str) -> None:
    click.echo(f"onsale: {line}", err=True)
