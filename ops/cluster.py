"""An embedded cluster: three primaries with a replica each, on loopback ports behind a password.

A cluster's nodes find each other by TCP only, so here, unlike with the other embedded servers,
ports are opened. They and the password are chosen at the first start and kept: the nodes know each
other by them.
"""

import random
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from engine.platform.redis_cluster_map import SLOTS, slot_of
from ops.child import Child, Plan, Report, StackError
from ops.servers import NO_ENVIRONMENT, valkey_program

PRIMARIES: Final = 3
NODE_TIMEOUT_MS: Final = 2000
"""A primary that is silent for so long is replaced by its replica."""

_HOST: Final = "127.0.0.1"
_NODES: Final = 2 * PRIMARIES
# Below those that the kernel hands out by itself.
_PORTS: Final = range(20_000, 32_000)
_FORM_TIMEOUT_S: Final = 30.0
_ANSWER_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05


class _Kept(msgspec.Struct, frozen=True):
    """What the next start has to know."""

    password: str
    ports: tuple[tuple[int, int], ...]
    """Of each node: for clients, and for the other nodes."""


class Cluster:
    """The six nodes, as children, and how to look into them."""

    def __init__(self, directory: Path, report: Report) -> None:
        """Describe the cluster with its data in `directory`/cluster; nothing runs yet."""
        self._home = directory / "cluster"
        self._report = report
        self._formed = self._home / "formed"
        self._kept = self._keep()
        self.children = tuple(self._child(number, directory) for number in range(_NODES))

    @property
    def url(self) -> str:
        """What `ONSALE_REDIS_URL` is for it."""
        nodes = ",".join(f"{_HOST}:{port}" for port, _ in self._kept.ports)
        return f"redis+cluster://:{self._kept.password}@{nodes}"

    # ------------------------------------------------------------ looking into it

    @contextmanager
    def client(self, node: int) -> Generator[Any]:
        """Connect to one node, by its place among the children; the client's types say little."""
        client = Redis(
            host=_HOST,
            port=self._kept.ports[node][0],
            password=self._kept.password,
            socket_timeout=_ANSWER_TIMEOUT_S,
            decode_responses=True,
        )
        try:
            yield cast("Any", client)
        finally:
            client.close()

    def id_of(self, node: int) -> str:
        """Return what the cluster calls a node."""
        with self.client(node) as client:
            return client.execute_command("CLUSTER MYID")

    def primary_of(self, name: str, *, seen_by: int | None = None) -> int:
        """Return which node has a key, as the first one sees it that answers, or as this one does.

        Raises:
            StackError: no node answers, or none has it.
        """
        slot = slot_of(name)
        for node in range(_NODES) if seen_by is None else (seen_by,):
            try:
                with self.client(node) as client:
                    view = client.execute_command("CLUSTER NODES")
            except (RedisError, OSError):
                continue
            for address, line in view.items():
                if "fail" in line["flags"].split(",") or "master" not in line["flags"]:
                    continue
                if any(int(part[0]) <= slot <= int(part[-1]) for part in line["slots"]):
                    return self._node_at(int(address.rpartition(":")[2]))
        msg = f"no node of the cluster has slot {slot}"
        raise StackError(msg)

    def primaries(self) -> list[int]:
        """Return which nodes take themselves for primaries; one that does not answer is none."""
        return [node for node in range(_NODES) if self._replication(node).get("role") == "master"]

    def replica_of(self, primary: int) -> int:
        """Return which node follows a primary.

        Raises:
            StackError: none does.
        """
        port = self._kept.ports[primary][0]
        for node in range(_NODES):
            info = self._replication(node)
            if info.get("role") == "slave" and info["master_port"] == port:
                return node
        msg = f"no node follows {self.children[primary].name}"
        raise StackError(msg)

    @contextmanager
    def replica_cut_off(self, node: int) -> Generator[None]:
        """Keep a replica from following its primary inside of the block, as a cut network would."""
        with self.client(node) as client:
            client.config_set("masterauth", "not the password")
            try:
                client.execute_command("CLIENT", "KILL", "TYPE", "MASTER")
                yield
            finally:
                client.config_set("masterauth", self._kept.password)

    def _replication(self, node: int) -> dict[str, Any]:
        try:
            with self.client(node) as client:
                return client.info("replication")
        except (RedisError, OSError):
            return {}

    def _node_at(self, port: int) -> int:
        return [client_port for client_port, _ in self._kept.ports].index(port)

    # ------------------------------------------------------------ moving a slot

    def move_slot(self, slot: int, source: int, target: int) -> None:
        """Move a slot from one primary to another at once, as Valkey 9 can.

        Raises:
            StackError: it was not moved.
        """
        with self.client(source) as client:
            to = self.id_of(target)
            client.execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", to)
            deadline = time.monotonic() + _FORM_TIMEOUT_S
            while (state := _migration(client)) != "success":
                if state in {"failed", "canceled"} or time.monotonic() > deadline:
                    msg = f"slot {slot} was not moved: {state}"
                    raise StackError(msg)
                time.sleep(_POLL_S / 10)

    def move_slot_key_by_key(self, slot: int, source: int, target: int) -> None:
        """Move a slot as every cluster can, while both nodes have a part of it."""
        to, since = self.id_of(target), self.id_of(source)
        with self.client(source) as giving, self.client(target) as taking:
            taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", since)
            giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
        self.finish_slot(slot, source, target)

    def finish_slot(self, slot: int, source: int, target: int) -> None:
        """Move what is left of a slot that is on its way."""
        to = self.id_of(target)
        with self.client(source) as giving, self.client(target) as taking:
            port = self._kept.ports[target][0]
            while keys := giving.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
                to_target = ("MIGRATE", _HOST, port, "", 0, int(_ANSWER_TIMEOUT_S * 1000))
                giving.execute_command(*to_target, "AUTH", self._kept.password, "KEYS", *keys)
            # The one that takes over first: until then the other sends everybody to it.
            taking.execute_command("CLUSTER SETSLOT", slot, "NODE", to)
            giving.execute_command("CLUSTER SETSLOT", slot, "NODE", to)

    # ------------------------------------------------------------ forming it

    def form(self) -> None:
        """Make the running nodes one cluster, unless they were; wait until it serves every slot.

        Raises:
            StackError: it does not come to be.
        """
        try:
            if not self._formed.exists():
                self._introduce()
            self._wait("has its slots served", self._serves)
        except (RedisError, OSError) as error:
            msg = f"the cluster could not be formed: {error}"
            raise StackError(msg) from error
        self._formed.touch()

    def _introduce(self) -> None:
        share = SLOTS // PRIMARIES
        for node in range(_NODES):
            with self.client(node) as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", node + 1)
                if node < PRIMARIES:
                    last = SLOTS - 1 if node == PRIMARIES - 1 else (node + 1) * share - 1
                    client.execute_command("CLUSTER ADDSLOTSRANGE", node * share, last)
        with self.client(0) as client:
            for port, bus_port in self._kept.ports[1:]:
                client.execute_command("CLUSTER MEET", _HOST, port, bus_port)
        self._wait("knows all nodes", lambda client: _info(client)["cluster_known_nodes"] == "6")
        for node in range(PRIMARIES, _NODES):
            with self.client(node) as client:
                client.execute_command("CLUSTER REPLICATE", self.id_of(node - PRIMARIES))
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait until every primary has a replica with a copy, so that it may be lost.

        Raises:
            StackError: it has none in time.
        """
        deadline = time.monotonic() + _FORM_TIMEOUT_S
        while sum(self._is_copy(node) for node in range(_NODES)) != _NODES - PRIMARIES:
            if time.monotonic() > deadline:
                msg = "the cluster's primaries never had a replica each"
                raise StackError(msg)
            time.sleep(_POLL_S)

    def _is_copy(self, node: int) -> bool:
        info = self._replication(node)
        return info.get("role") == "slave" and info["master_link_status"] == "up"

    def _serves(self, client: Any) -> bool:  # noqa: ANN401 - the client's types say little
        info = _info(client)
        return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == str(SLOTS)

    def _wait(self, what: str, is_so: Callable[[Any], bool]) -> None:
        deadline = time.monotonic() + _FORM_TIMEOUT_S
        for node, child in enumerate(self.children):
            with self.client(node) as client:
                while not is_so(client):
                    if time.monotonic() > deadline:
                        msg = f"{child.name} never {what}; its log: {child.plan.log}"
                        raise StackError(msg)
                    time.sleep(_POLL_S)

    # ------------------------------------------------------------ its nodes

    @cached_property
    def _program(self) -> str:
        return valkey_program()

    def _keep(self) -> _Kept:
        """Return what was chosen at the first start; one that never ended begins anew."""
        path = self._home / "cluster.json"
        if not self._formed.exists():
            shutil.rmtree(self._home, ignore_errors=True)
            self._home.mkdir(mode=0o700, parents=True)
            kept = _Kept(secrets.token_urlsafe(32), _choose_ports())
            _write_private(path, msgspec.json.encode(kept))
        return msgspec.json.decode(path.read_bytes(), type=_Kept)

    def _child(self, node: int, directory: Path) -> Child:
        name = f"valkey-{node + 1}"
        data = self._home / name
        configuration = data / "valkey.conf"
        port, bus_port = self._kept.ports[node]
        lines = "\n".join(_options(data, port, bus_port, self._kept.password))

        def before_start() -> None:
            data.mkdir(mode=0o700, exist_ok=True)
            # Not on the command line, which every user of the machine can read.
            _write_private(configuration, f"{lines}\n".encode())

        plan = Plan(
            name=name,
            command=lambda: (self._program, str(configuration)),
            environment=NO_ENVIRONMENT,
            log=directory / "logs" / f"{name}.log",
            is_ready=lambda _pid: _answers_ping(port, self._kept.password),
            before_start=before_start,
        )
        return Child(plan, self._report)


def _options(data: Path, port: int, bus_port: int, password: str) -> Iterator[str]:
    yield f"bind {_HOST}"
    yield f"port {port}"
    yield f"cluster-port {bus_port}"
    yield f"requirepass {password}"
    yield f"masterauth {password}"
    yield f'dir "{data}"'
    yield "cluster-enabled yes"
    yield f"cluster-node-timeout {NODE_TIMEOUT_MS}"
    # The shows of a node that is away must not keep the others from selling.
    yield "cluster-require-full-coverage no"
    yield "cluster-allow-replica-migration no"
    yield "repl-diskless-sync-delay 0"
    yield "appendonly yes"
    yield "appendfsync always"
    yield 'save ""'
    yield "maxmemory-policy noeviction"


def _migration(client: Any) -> str:  # noqa: ANN401 - the client's types say little
    """Return how the newest migration stands."""
    (newest, *_) = client.execute_command("CLUSTER GETSLOTMIGRATIONS")
    fields = dict(zip(newest[::2], newest[1::2], strict=True))
    return fields["state"]


def _info(client: Any) -> dict[str, str]:  # noqa: ANN401 - the client's types say little
    return client.execute_command("CLUSTER INFO")


def _answers_ping(port: int, password: str) -> bool:
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(64)):  # noqa: PLR2004 -- two commands
                answer += part
            return answer.endswith(b"+PONG\r\n")  # not "-LOADING"
    except OSError:
        return False


def _choose_ports() -> tuple[tuple[int, int], ...]:
    """Return two free ports for each node, at random: others may be choosing just now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, k=len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == 2 * _NODES:
            return tuple(zip(found[::2], found[1::2], strict=True))
    msg = f"no {2 * _NODES} ports between {_PORTS.start} and {_PORTS.stop} are free for the cluster"
    raise StackError(msg)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
