"""The whole platform on one machine: servers, migrations, API and worker, supervised.

`up`, `demo` and the tests all start it from here.
"""

import fcntl
import http
import http.client
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from engine.platform.settings import (
    APP_ROLE,
    AUDITOR_ROLE,
    PREFIX,
    RECORDER_ROLE,
    Settings,
    environment_of,
    load_settings,
    variable,
)
from ops import servers
from ops.child import Child, Plan, Report, StackError, Supervisor
from ops.cluster import Cluster
from ops.migrating import migrate
from ops.port import Port
from ops.replica_set import ReplicaSet
from ops.running import forget_running, write_running
from ops.serving import serve_command

_logger = logging.getLogger("onsale.ops")

# These would disturb a child: PostgreSQL's and Granian's own variables, and Python's.
_STRANGE_PREFIXES: Final = ("PG", "GRANIAN_", PREFIX)
_STRANGE: Final = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV"})
# With the embedded PostgreSQL every part logs in as its own role, so that none can go back to
# being the superuser.
_LOG_INS: Final = {
    "database_url": servers.SUPERUSER,
    "app_database_url": APP_ROLE,
    "recorder_database_url": RECORDER_ROLE,
    "auditor_database_url": AUDITOR_ROLE,
}
# Where to reach an API that listens on every address.
_LOOPBACKS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- only compared with
_READY_PATH: Final = "/health/ready"
_READY_TIMEOUT_S: Final = 2


class Stack:
    """A running platform in a directory of its own.

    A context manager: entering starts everything and waits until it serves, leaving stops it. The
    data stay in the directory, and the next start finds them.
    """

    def __init__(  # noqa: PLR0913 -- each is a choice of its own, all by name
        self,
        directory: Path,
        *,
        port: int | Port | None = None,
        host: str = "127.0.0.1",
        api_workers: int = 1,
        replicas: int = 0,
        with_api: bool = True,
        with_worker: bool = True,
        cluster: bool = False,
        environment: Mapping[str, str] | None = None,
        adjust: Callable[[Plan], Plan] = lambda plan: plan,
        report: Report = _logger.info,
    ) -> None:
        """Describe a stack; nothing is started or written yet.

        Args:
            directory: where data, logs and sockets are kept; made if it is missing.
            port: the API's; one that is reserved already, or any free one if it is left out.
            host: the address that the API listens on.
            api_workers: API processes.
            replicas: how many replicas the embedded Valkey has.
            with_api: whether the API is started.
            with_worker: whether the worker is started.
            cluster: whether the shows are kept in an embedded cluster of six; ARQ's jobs then
                have the Valkey.
            environment: where the `ONSALE_*` settings are read from; the process's own if left
                out. `ONSALE_REDIS_URL` or `ONSALE_DATABASE_URL` in there means that this server
                is used instead of an embedded one.
            adjust: changes the plan of a child before it is started, as to put something between
                the parts or to run another program.
            report: takes a line for each step and each restart.
        """
        self.directory = directory.absolute()
        self._environment = dict(os.environ if environment is None else environment)
        self._asked_port = port
        self._host = host
        self._api_workers = api_workers
        self._replica_count = replicas
        self._with_api = with_api
        self._with_worker = with_worker
        self._wants_cluster = cluster
        self._cluster: Cluster | None = None
        self._adjust = adjust
        self._report = report
        self._undo: list[tuple[str, Callable[[], None]]] = []
        self._children: dict[str, Child] = {}
        self._settings: Settings | None = None
        self._valkeys: ReplicaSet | None = None

    # ------------------------------------------------------------ what callers see

    @property
    def settings(self) -> Settings:
        """The settings that every process of this stack has.

        Raises:
            StackError: it was not started.
        """
        if self._settings is None:
            msg = "the stack was not started"
            raise StackError(msg)
        return self._settings

    @property
    def environment(self) -> dict[str, str]:
        """The environment for another process that belongs to this stack."""
        return {
            name: value
            for name, value in os.environ.items()
            if name not in _STRANGE and not name.startswith(_STRANGE_PREFIXES)
        } | environment_of(self.settings)

    @property
    def base_url(self) -> str:
        """Where the API answers, without a closing slash."""
        return address_of(self._host, self.settings.port)

    @property
    def logs(self) -> Path:
        """The directory of the logs, one file for each child."""
        return self.directory / "logs"

    @property
    def valkey(self) -> Child:
        """The embedded Valkey; of several, the one that is the primary now."""
        return self._replica_set().primary

    @property
    def replicas(self) -> tuple[Child, ...]:
        """Those that follow the embedded Valkey now."""
        return self._replica_set().replicas

    def promote_replica(self, number: int = 1, *, kill: bool = True) -> None:
        """Make one of `replicas`, counted from 1, the primary: `ReplicaSet.promote`.

        Raises:
            StackError: it can't be promoted; all is as it was.
        """
        self._replica_set().promote(number, kill=kill)

    def await_replicas(self, timeout_s: float = 30.0) -> None:
        """Wait until all replicas follow the primary, and let it no longer write alone.

        Raises:
            StackError: they did not follow in time.
        """
        self._replica_set().await_in_sync(timeout_s)

    @property
    def cluster(self) -> Cluster:
        """The embedded cluster.

        Raises:
            StackError: this stack has none, or was not started.
        """
        if self._cluster is None:
            msg = "this stack has no cluster of its own"
            raise StackError(msg)
        return self._cluster

    @property
    def postgres(self) -> Child:
        """The embedded PostgreSQL."""
        return self._child("postgres")

    @property
    def api(self) -> Child:
        """The API: Granian and its processes."""
        return self._child("api")

    @property
    def worker(self) -> Child:
        """The worker: recorder, sweeper, recovery."""
        return self._child("worker")

    @property
    def children(self) -> tuple[Child, ...]:
        """All children, in the order of their start."""
        return tuple(self._children.values())

    def __enter__(self) -> Self:
        """Start everything."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it serves.

        Raises:
            StackError: a part could not be started, or another stack runs in this directory;
                nothing is left running.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in the reverse order of its start; may be repeated."""
        while self._undo:
            name, undo = self._undo.pop()
            if name in self._children:
                self._report(f"stopping {name}")
            undo()

    # ------------------------------------------------------------ how it is started

    def _start(self) -> None:
        self._make_directory()
        self._lock()
        port = self._reserve_port()
        self._settings = self._make_settings(self._start_servers(), port)
        self._report("bringing the database's tables up to date")
        migrate(self.settings)
        if self._with_worker:
            self._add(self._worker_child())
        if self._with_api:
            self._add(self._api_child())
        supervisor = Supervisor(self.children)
        supervisor.start()
        self._undo.append(("supervisor", supervisor.stop))
        write_running(self.directory, self.settings, self.base_url)
        self._undo.append(("stack.json", lambda: forget_running(self.directory)))

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.directory / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            msg = (
                f"{self.directory} can't be written ({error.strerror}); make it yours or choose "
                "another with --data"
            )
            raise StackError(msg) from error

    def _lock(self) -> None:
        """Let one stack at a time use the directory; the lock ends with the process."""
        lock = (self.directory / "up.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            lock.close()
            msg = (
                f"another stack (pid {pid}) runs in {self.directory}; stop it (kill {pid}), or "
                "choose another directory with --data"
            )
            raise StackError(msg) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._undo.append(("lock", lock.close))

    def _reserve_port(self) -> int:
        if not self._with_api:
            return self._asked_port.number if isinstance(self._asked_port, Port) else 1
        asked = self._asked_port
        port = asked if isinstance(asked, Port) else Port(self._host, asked or 0)
        self._undo.append(("port", port.close))
        return port.number

    def _start_servers(self) -> dict[str, str]:
        """Start the servers that nobody gave us and return the variables that name them all."""
        given = {
            name: value for name, value in self._environment.items() if name.startswith(PREFIX)
        }
        embedded_redis = not given.get(variable("redis_url"))
        if self._wants_cluster and not embedded_redis:
            msg = f"{variable('redis_url')} names a store, so no cluster is started: unset one"
            raise StackError(msg)
        embedded_database = not given.get(variable("database_url"))
        if self._replica_count and not embedded_redis:
            msg = (
                f"{variable('redis_url')} names a server of your own, which gets no replicas here; "
                f"set them up there, and {variable('redis_replicas')}"
            )
            raise StackError(msg)
        if not embedded_redis and not embedded_database:
            return given
        sockets = servers.make_socket_directory(self.directory)
        self._undo.append(
            ("sockets", lambda: servers.remove_socket_directory(self.directory)),
        )
        if embedded_redis:
            given[variable("redis_url")] = self._start_valkeys(sockets)
            given[variable("redis_replicas")] = str(self._replica_count)
        if self._wants_cluster:
            given[variable("queue_redis_url")] = given[variable("redis_url")]
            given[variable("redis_url")] = self._start_cluster()
            given[variable("redis_replicas")] = "1"
        if embedded_database:
            self._add(servers.postgres(self.directory, sockets, self._report))
            servers.create_database(sockets)
            for field, role in _LOG_INS.items():
                given[variable(field)] = servers.postgres_url(sockets, role)
        return given

    def _start_cluster(self) -> str:
        self._cluster = Cluster(self.directory, self._report)
        for child in self._cluster.children:
            self._add(child)
        self._report("forming the cluster")
        self._cluster.form()
        return self._cluster.url

    def _start_valkeys(self, sockets: Path) -> str:
        valkeys = ReplicaSet(self.directory, sockets, self._report, self._replica_count)
        valkeys.prepare()
        self._valkeys = valkeys
        for child in (valkeys.primary, *valkeys.replicas):
            self._add(child)
        valkeys.await_in_sync()
        return valkeys.url

    def _replica_set(self) -> ReplicaSet:
        if self._valkeys is None:
            msg = "this stack has no valkey of its own"
            raise StackError(msg)
        return self._valkeys

    def _make_settings(self, given: dict[str, str], port: int) -> Settings:
        if not given.get(variable("secret")):
            given[variable("secret")] = _secret(self.directory)
        given[variable("host")] = self._host
        given[variable("port")] = str(port)
        given[variable("api_workers")] = str(self._api_workers)
        return load_settings(given)

    def _add(self, child: Child) -> None:
        # In place: a replica set and a cluster have hold of their children, too.
        child.plan = self._adjust(child.plan)
        self._report(f"starting {child.name}")
        self._children[child.name] = child
        self._undo.append((child.name, child.stop))
        child.start()

    def _child(self, name: str) -> Child:
        if name not in self._children:
            msg = f"this stack has no {name} of its own"
            raise StackError(msg)
        return self._children[name]

    def _environment_as(self, role: str) -> dict[str, str]:
        """Return the environment of a process that may log in as this role and as no other."""
        log_in, _ = self.settings.database_login(role)
        others = dict.fromkeys(_LOG_INS, "") | {"database_url": log_in}
        return self.environment | environment_of(msgspec.structs.replace(self.settings, **others))

    def _api_child(self) -> Child:
        command = serve_command(self._host, self.settings.port, self._api_workers)
        plan = Plan(
            name="api",
            command=lambda: command,
            environment=self._environment_as(APP_ROLE),
            log=self.logs / "api.log",
            is_ready=lambda _pid: _answers_ready(self.base_url),
            # Granian takes its processes with it; SIGKILL would leave them.
            death_signal=signal.SIGTERM,
        )
        return Child(plan, self._report)

    def _worker_child(self) -> Child:
        command = (sys.executable, "-m", "workers")
        plan = Plan(
            name="worker",
            command=lambda: command,
            environment=self._environment_as(RECORDER_ROLE),
            log=self.logs / "worker.log",
            is_ready=lambda _pid: True,
        )
        return Child(plan, self._report)


def address_of(host: str, port: int) -> str:
    """Return where an API that listens there answers, without a closing slash."""
    reached_at = _LOOPBACKS.get(host, host)
    return f"http://[{reached_at}]:{port}" if ":" in reached_at else f"http://{reached_at}:{port}"


def _answers_ready(base_url: str) -> bool:
    address = base_url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=_READY_TIMEOUT_S)
    try:
        connection.request("GET", _READY_PATH)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _secret(directory: Path) -> str:
    """Return the secret that belongs to the data in this directory, made at the first start."""
    path = directory / "secret"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(fresh, "x", opener=_private, encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        fresh.rename(path)
    return path.read_text(encoding="ascii").strip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
