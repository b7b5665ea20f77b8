"""`./onsale up`."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Final

import click

from engine.platform.logs import configure_logs
from engine.platform.settings import SettingsError, variable
from ops.cells import plan_cells, tell_cells
from ops.child import StackError
from ops.demo_data import ensure_demo, lines_to_try
from ops.places import HOME
from ops.port import Port, PortTakenError, first_free
from ops.region_option import check_region
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
    "--region",
    "regions",
    multiple=True,
    callback=check_region,
    metavar="REGION",
    help="The cell's code; more than once: so many cells side by side, which share nothing.",
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
    regions: tuple[str, ...],
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
      ./onsale up --region eu --region us
    """
    began = time.monotonic()
    _raise_on_signals()
    configure_logs("warning")
    try:
        with ExitStack() as running:
            ports = _ports(host, port, max(1, len(regions)))
            cells = plan_cells(data, regions, host=host, ports=ports, environment=os.environ)
            stacks = [
                running.enter_context(
                    Stack(
                        cell.directory,
                        port=cell.port,
                        host=host,
                        api_workers=workers,
                        cluster=cluster,
                        replicas=replicas,
                        environment=cell.environment,
                        report=_say if len(cells) == 1 else _teller(cell.region),
                    )
                )
                for cell in cells
            ]
            for stack in stacks if demo else ():
                _show_demo(stack)
            if len(stacks) > 1:
                _show_cells(stacks)
            addresses = ", ".join(stack.base_url for stack in stacks)
            _say(f"serving on {addresses} after {time.monotonic() - began:.1f} s")
            _say(f"logs: {', '.join(str(stack.logs) for stack in stacks)}")
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


def _show_cells(stacks: Sequence[Stack]) -> None:
    click.echo("")
    for line in tell_cells([(one.settings, one.base_url, one.directory) for one in stacks]):
        click.echo(line)
    click.echo("")


def _ports(host: str, asked: int | None, count: int) -> list[Port]:
    """Reserve so many ports in a row, or the next free ones if none was asked for."""
    if count == 1:
        return [_port(host, asked)]
    ports: list[Port] = []
    for _ in range(count):
        number = ports[-1].number + 1 if ports else asked or _DEFAULT_PORT
        try:
            ports.append(Port(host, number) if asked else first_free(host, number))
        except PortTakenError as error:
            msg = f"{error}. Choose others with --port, the first of {count} in a row."
            raise StackError(msg) from error
        except OSError as error:
            msg = f"can't listen on {host}: {error.strerror or error}"
            raise SettingsError(msg) from error
    return ports


def _teller(region: str) -> Callable[[str], None]:
    return lambda line: _say(f"{region}: {line}")


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
