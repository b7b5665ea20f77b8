"""What measurements are run on: throw-away platforms, and controls served as the API is."""

import asyncio
import http.client
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.platform.settings import variable
from loadtests.bench.http_bench import CONTROL, Cores, Server, Size
from loadtests.bench.measurement import Site
from loadtests.bench.processes import family
from loadtests.generator import Generator as LoadGenerator
from loadtests.generator.pinning import usable_cpus
from ops.child import Child, Plan
from ops.port import Port
from ops.resellers import make_reseller
from ops.serving import serve_command
from ops.stack import Stack

_HOST: Final = "127.0.0.1"
_ANSWER_TIMEOUT_S: Final = 2


class Workbench:
    """Hands measurements what they ask for: see loadtests.bench.http_bench.HttpBench."""

    def __init__(
        self, *, rounds: int, generator: LoadGenerator, size: Size, say: Callable[[str], None]
    ) -> None:
        """Take how much is measured, with what, and who is told how far it is."""
        self.rounds = rounds
        self.generator = generator
        self.size = size
        self.cores = share_cores(usable_cpus())
        self._say = say

    def say(self, line: str) -> None:
        """Tell who watches how far it is."""
        self._say(line)

    @contextmanager
    def open_site(self, **settings: str) -> Generator[Site]:
        """Start a platform whose processes have these settings beside the usual ones."""
        given = {variable(name): value for name, value in settings.items()}
        with _kept_if_it_fails("onsale-bench-", self.say) as directory:
            self.say("starting a platform")
            with Stack(directory, environment=given) as stack:
                key = asyncio.run(make_reseller(stack.settings, "Bench"))
                yield Site(
                    base_url=stack.base_url,
                    api_key=key.text,
                    settings=stack.settings,
                    processes=lambda: {child.name: family(child.pid) for child in stack.children},
                    pause_worker=stack.worker.pause,
                    resume_worker=stack.worker.resume,
                )

    @contextmanager
    def serve(self, app: str, environment: Mapping[str, str]) -> Generator[Server]:
        """Serve an application, `module:name`, with the API's own options and one process."""
        with (
            _kept_if_it_fails("onsale-control-", self.say) as directory,
            Port(_HOST, 0) as port,
        ):
            base_url = f"http://{_HOST}:{port.number}"
            command = serve_command(_HOST, port.number, 1, app=app)
            plan = Plan(
                name=CONTROL,
                command=lambda: command,
                environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **environment},
                log=directory / "control.log",
                is_ready=lambda _pid: _answers(base_url),
            )
            control = Child(plan, self.say)
            try:
                control.start()
                yield Server(base_url, CONTROL, lambda: {CONTROL: family(control.pid)})
            finally:
                control.stop()


def share_cores(usable: list[int]) -> Cores:
    """Give the measured server a core of its own, and the rest to everything else."""
    if len(usable) == 1:
        return Cores((), ())
    return Cores((usable[0],), tuple(usable[1:]))


@contextmanager
def _kept_if_it_fails(prefix: str, say: Callable[[str], None]) -> Generator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield directory
    except Exception:
        say(f"data and logs are kept in {directory}")
        raise
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)


def _answers(base_url: str) -> bool:
    """Tell whether it speaks HTTP; what it says does not matter."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
