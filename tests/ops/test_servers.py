"""The embedded servers: durable, private, and found again."""

import os
import stat
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import text

from engine.platform.database import connect_once
from engine.platform.settings import APP_ROLE, AUDITOR_ROLE, RECORDER_ROLE
from ops.child import StackError
from ops.servers import (
    create_database,
    make_socket_directory,
    postgres,
    remove_socket_directory,
)
from ops.stack import Stack

# To read them at its start takes a server a few tenths of a second.
_KEYS = 100_000


def _servers_only(directory: Path) -> Stack:
    return Stack(directory, with_api=False, with_worker=False, environment={})


def test_valkey_answers_after_the_fsync_and_has_no_tcp_port(servers: Stack) -> None:
    """What was answered is on the disk, and no other user of the machine gets in."""
    with Redis.from_url(servers.settings.redis_url, decode_responses=True) as client:
        for setting, value in (
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
            ("port", "0"),
        ):
            assert client.config_get(setting) == {setting: value}


async def test_postgresql_is_durable_and_has_no_tcp_port(servers: Stack) -> None:
    """A commit is on the disk, and only the unix socket leads in."""
    async with connect_once(servers.settings.database_url) as connection:
        for setting, value in (
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("listen_addresses", ""),
        ):
            assert await connection.scalar(text(f"SHOW {setting}")) == value


@pytest.mark.parametrize("role", [APP_ROLE, RECORDER_ROLE, AUDITOR_ROLE])
async def test_every_part_logs_in_as_its_own_role(servers: Stack, role: str) -> None:
    """No process but the migrations is the superuser, not even before it takes on its role."""
    url, _ = servers.settings.database_login(role)
    async with connect_once(url) as connection:
        assert await connection.scalar(text("SELECT session_user")) == role


def test_only_we_can_enter_the_sockets_directory(servers: Stack) -> None:
    """The directory is what guards the sockets: mode 0700."""
    run = servers.directory / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


def test_the_secret_and_the_word_of_the_stack_are_private(servers: Stack) -> None:
    """Both files hold the secret: mode 0600."""
    for name in ("secret", "stack.json"):
        assert stat.S_IMODE((servers.directory / name).stat().st_mode) == 0o600


def test_valkey_is_started_when_it_has_read_its_data(tmp_path: Path) -> None:
    """Whoever waited for its start is not told that it is still loading."""
    with _servers_only(tmp_path) as stack:
        with Redis.from_url(stack.settings.redis_url) as client:
            pipeline = client.pipeline(transaction=False)
            for n in range(_KEYS):
                pipeline.set(f"kept-{n}", "yes")
            pipeline.execute()
        stack.valkey.kill(restart=False)
        stack.valkey.start()
        # Asked once: the client would by itself ask a server again that is loading.
        once = Retry(NoBackoff(), 0)
        with Redis.from_url(stack.settings.redis_url, retry=once) as client:
            assert client.get(f"kept-{_KEYS - 1}") == b"yes"


def test_a_second_start_finds_the_data_and_the_secret(tmp_path: Path) -> None:
    """Stop and start: keys, rows and the ids' secret are the same."""
    with _servers_only(tmp_path) as stack:
        secret = stack.settings.secret
        with Redis.from_url(stack.settings.redis_url) as client:
            client.set("kept", "yes")
    with _servers_only(tmp_path) as stack:
        assert stack.settings.secret == secret
        with Redis.from_url(stack.settings.redis_url) as client:
            assert client.get("kept") == b"yes"


def test_what_was_answered_survives_kill_nine(tmp_path: Path) -> None:
    """Valkey and PostgreSQL are killed at once and started again: nothing answered is lost."""
    with _servers_only(tmp_path) as stack:
        with Redis.from_url(stack.settings.redis_url) as client:
            client.set("kept", "yes")
        for child in (stack.valkey, stack.postgres):
            child.kill(restart=False)
            child.start()
        with Redis.from_url(stack.settings.redis_url) as client:
            assert client.get("kept") == b"yes"


def test_a_stale_pid_file_and_socket_do_not_keep_the_servers_down(tmp_path: Path) -> None:
    """After a power cut the pid in PostgreSQL's file may belong to anybody: here, to us."""
    with _servers_only(tmp_path) as stack:
        stack.postgres.kill(restart=False)
        stack.valkey.kill(restart=False)
        pid_file = tmp_path / "postgres" / "postmaster.pid"
        lines = pid_file.read_text(encoding="utf-8").splitlines(keepends=True)
        pid_file.write_text(f"{os.getpid()}\n{''.join(lines[1:])}", encoding="utf-8")
        stack.postgres.start()
        stack.valkey.start()


def test_a_directory_takes_one_stack_at_a_time(servers: Stack) -> None:
    """The second one is refused with the first one's pid, and disturbs nothing."""
    with pytest.raises(StackError, match=rf"pid {os.getpid()}\b.*--data"):
        _servers_only(servers.directory).start()
    assert servers.valkey.running
    assert (servers.directory / "stack.json").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the directory should be: a sentence says so."""
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="can't be written"):
        _servers_only(tmp_path / "file" / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_postgresql_runs_for_root_however_it_is_allowed_to(tmp_path: Path) -> None:
    """In a user namespace, or as `nobody` where there are none, the same data serve both.

    `nobody` can't pass the test's directories, which are closed to others: launch.py lets it.
    """
    sockets = make_socket_directory(tmp_path)
    for identity in ("nobody", "namespace", "nobody"):
        child = postgres(tmp_path, sockets, print, identity=identity)
        child.start()
        create_database(sockets)
        child.stop()


def test_a_long_path_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    """A socket's path holds about a hundred bytes; a longer one moves to a private directory."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with _servers_only(deep) as stack:
        elsewhere = (deep / "run").resolve()
        assert not elsewhere.is_relative_to(tmp_path)
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        with Redis.from_url(stack.settings.redis_url) as client:
            assert client.ping()
    assert not elsewhere.exists()


def test_the_sockets_of_a_killed_stack_are_cleared(tmp_path: Path) -> None:
    """The next start removes the private directory that a killed one left."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    left = make_socket_directory(deep)
    (left / "valkey.sock").touch()
    fresh = make_socket_directory(deep)
    assert not left.exists()
    remove_socket_directory(deep)
    assert not fresh.exists()


def test_a_server_of_ones_own_is_used_as_given(servers: Stack, tmp_path: Path) -> None:
    """With ONSALE_REDIS_URL set, no Valkey is started and that one is used."""
    environment = {"ONSALE_REDIS_URL": servers.settings.redis_url}
    with Stack(tmp_path, with_api=False, with_worker=False, environment=environment) as stack:
        assert stack.settings.redis_url == servers.settings.redis_url
        assert [child.name for child in stack.children] == ["postgres"]
        with pytest.raises(StackError, match="no valkey of its own"):
            _ = stack.valkey
