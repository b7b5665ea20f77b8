"""What measurements are run on: throw-away platforms, and controls served as the API is."""

import asyncio
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.platform.redis_cluster_map import slot_of
from engine.platform.settings import variable
from loadtests.bench.http_bench import CONTROL, Cores, Server, Size
from loadtests.bench.measurement import ClusterSite, Site
from loadtests.bench.processes import family
from loadtests.generator import Generator as LoadGenerator
from loadtests.generator.pinning import usable_cpus
from ops.child import Child, Plan, StackError
from ops.cluster import Cluster
from ops.port import Port
from ops.resellers import make_reseller
from ops.serving import serve_command
from ops.stack import Stack

_HOST: Final = "127.0.0.1"
_ANSWER_TIMEOUT_S: Final = 2
_ELECTED_WITHIN_S: Final = 20.0
_POLL_S: Final = 0.01


class Workbench:
    """Hands measurements what they ask for: see loadtests.bench.http_bench.HttpBench."""

    def __init__(
        self,
        *,
        rounds: int,
        generator: LoadGenerator,
        size: Size,
        say: Callable[[str], None],
        data: Path | None = None,
    ) -> None:
        """Take how much is measured, with what, and who is told how far it is.

        `data` is a directory for the platforms that may be kept; without one they are not.
        """
        self.rounds = rounds
        self.generator = generator
        self.size = size
        self.cores = share_cores(usable_cpus())
        self._say = say
        self._data = data

    def say(self, line: str) -> None:
        """Tell who watches how far it is."""
        self._say(line)

    @contextmanager
    def open_site(self, **settings: str) -> Generator[Site]:
        """Start a platform whose processes have these settings beside the usual ones."""
        with (
            _kept_if_it_fails("onsale-bench-", self.say) as directory,
            self._site_in(directory, settings) as site,
        ):
            yield site

    @contextmanager
    def open_kept_site(self, name: str, **settings: str) -> Generator[Site]:
        """Start such a platform with the data that a measurement of this name had before it.

        Nothing is kept unless a directory for it was given.
        """
        if self._data is None:
            with self.open_site(**settings) as site:
                yield site
        else:
            with self._site_in(self._data / name, settings) as site:
                yield site

    @contextmanager
    def _site_in(self, directory: Path, settings: Mapping[str, str]) -> Generator[Site]:
        given = {variable(name): value for name, value in settings.items()}
        self.say("starting a platform")
        with Stack(directory, environment=given) as stack:
            key = asyncio.run(make_reseller(stack.settings, "Bench"))
            yield site_of(stack, key.text)

    @contextmanager
    def open_cluster_site(self, **settings: str) -> Generator[ClusterSite]:
        """Start such a platform with its shows on an embedded cluster of six."""
        given = {variable(name): value for name, value in settings.items()}
        with _kept_if_it_fails("onsale-bench-", self.say) as directory:
            self.say("starting a platform with a cluster")
            with Stack(directory, environment=given, cluster=True) as stack:
                key = asyncio.run(make_reseller(stack.settings, "Bench"))
                yield ClusterSite(
                    site=site_of(stack, key.text),
                    move_key=partial(_move_key, stack.cluster),
                    lose_primary=partial(_lose_primary, stack.cluster),
                    restore_primaries=partial(_restore_primaries, stack.cluster),
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


def site_of(stack: Stack, api_key: str) -> Site:
    """Return a running platform as a measurement sees it."""
    return Site(
        base_url=stack.base_url,
        api_key=api_key,
        new_key=lambda name: asyncio.run(make_reseller(stack.settings, name)).text,
        settings=stack.settings,
        processes=lambda: {child.name: family(child.pid) for child in stack.children},
        pause_worker=stack.worker.pause,
        resume_worker=stack.worker.resume,
        restart_store=partial(_restart, stack.valkey),
    )


def _restart(child: Child, down_s: float) -> None:
    child.kill(restart=False)
    time.sleep(down_s)
    child.start()


def _move_key(cluster: Cluster, key: str) -> None:
    source = cluster.primary_of(key)
    target = next(node for node in cluster.primaries() if node != source)
    cluster.move_slot(slot_of(key), source, target)


def _lose_primary(cluster: Cluster, key: str) -> float:
    lost = cluster.primary_of(key)
    witness = next(node for node in cluster.primaries() if node != lost)
    cluster.children[lost].kill(restart=False)
    deadline = time.monotonic() + _ELECTED_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(StackError):  # nobody has it for a moment
            if cluster.primary_of(key, seen_by=witness) != lost:
                return time.monotonic()
        time.sleep(_POLL_S)
    msg = f"nobody was elected in place of {cluster.children[lost].name}"
    raise StackError(msg)


def _restore_primaries(cluster: Cluster) -> None:
    for child in cluster.children:
        if not child.running:
            child.start()
    cluster.wait_until_whole()


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
