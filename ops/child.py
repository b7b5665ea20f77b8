"""A child process that can be started, stopped, killed, paused and, when it dies, started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from ops.places import ROOT

Report = Callable[[str], None]
"""Takes one line for whoever watches."""

BACKOFF_MIN_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
STEADY_AFTER_S: Final = 30.0
"""A child that lived this long did not fail at its start: the back-off begins anew."""
LOG_BYTES_MAX: Final = 10 * 1024 * 1024
LOG_TAIL_LINES: Final = 15
_POLL_S: Final = 0.01

# The kernel's parent-death signal goes out when the *thread* that forked ends. So every child is
# forked by this thread, which lives as long as the process.
_forker: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onsale-forker")


class StackError(Exception):
    """A part of the stack could not be started; the message says which, why and the way out."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a child is: its command, and how to tell that it is ready."""

    name: str
    command: Callable[[], Sequence[str]]
    """Called at every start; the first word is the absolute path of a program."""
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[int], bool]
    """Whether the child with this pid serves. Must itself return within a few seconds."""
    before_start: Callable[[], None] = lambda: None
    """Clears what a killed predecessor left."""
    identity: str = "same"
    """One of launch.py's."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the supervisor itself is killed."""
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0


@dataclass
class _Life:
    """One run of the child."""

    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)


class Child:
    """One supervised process. All methods may be called from any thread."""

    def __init__(self, plan: Plan, report: Report) -> None:
        """Describe a child; nothing runs yet."""
        self.plan = plan
        self._report = report
        self._lock = threading.RLock()
        self._life: _Life | None = None
        self._wanted = False
        self._starting = False
        self._backoff_s = BACKOFF_MIN_S
        self._due_at: float | None = None
        self.restarts = 0
        """How often the supervisor has started it again."""

    @property
    def name(self) -> str:
        """What it is called in messages and in its log's name."""
        return self.plan.name

    @property
    def pid(self) -> int:
        """The process id of the current run.

        Raises:
            StackError: it was never started.
        """
        with self._lock:
            if self._life is None:
                msg = f"{self.name} was never started"
                raise StackError(msg)
            return self._life.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive; a paused one is."""
        with self._lock:
            return self._life is not None and self._life.process.poll() is None

    def start(self) -> None:
        """Start it, wait until it serves, and from now on want it to run.

        Raises:
            StackError: it ended, or was not ready in time; the message has the end of its log.
        """
        with self._lock:
            self._wanted = True
            self._due_at = None
            self._backoff_s = BACKOFF_MIN_S
            self._starting = True  # the supervisor keeps its hands off
            if not self.running:
                self._spawn()
        try:
            self._wait(self.plan.start_timeout_s, through_restarts=False)
        finally:
            self._starting = False

    def wait_until_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the child serves, through restarts by the supervisor if there are any.

        Raises:
            StackError: it was not ready in time.
        """
        self._wait(timeout_s, through_restarts=True)

    def _wait(self, timeout_s: float, *, through_restarts: bool) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            if self.running and self.plan.is_ready(self.pid):
                return
            if not self.running and not through_restarts:
                raise StackError(self._obituary("ended at its start"))
            if time.monotonic() > deadline:
                raise StackError(self._obituary(f"was not ready within {timeout_s:.0f} s"))
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ask it to end, wait, and kill it if it does not; the supervisor leaves it down."""
        with self._lock:
            self._wanted = False
            life = self._life
        if life is None:
            return
        if life.process.poll() is None:
            self._signal(life, self.plan.stop_signal)
            self._signal(life, signal.SIGCONT)
            try:
                life.process.wait(self.plan.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self._report(f"{self.name} did not stop in time and was killed")
        self._end_group(life)

    def kill(self, *, restart: bool = True) -> None:
        """End it with SIGKILL, its subprocesses too.

        With `restart`, the supervisor starts it again, as it would after any crash.
        """
        with self._lock:
            life = self._life
            if life is None:
                return
            self._wanted = restart
            self._end_group(life)

    def pause(self) -> None:
        """Stop it with SIGSTOP: it hangs, its connections stay open."""
        with self._lock:
            if self._life is not None:
                self._signal(self._life, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        with self._lock:
            if self._life is not None:
                self._signal(self._life, signal.SIGCONT)

    def tend(self, now: float) -> None:
        """Start it again if it died: the supervisor calls this all the time.

        The first restart comes after 0.2 s, the next ones after twice as long each, up to 5 s.
        """
        with self._lock:
            life = self._life
            if not self._wanted or self._starting or life is None:
                return
            if life.process.poll() is None:
                if now - life.started_at > STEADY_AFTER_S:
                    self._backoff_s = BACKOFF_MIN_S
                return
            if self._due_at is None:
                self._due_at = now + self._backoff_s
                self._report(
                    f"{self.name} ended ({_how(life.process.returncode)}); starting it again in "
                    f"{self._backoff_s:.1f} s; log: {self.plan.log}"
                )
                self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
                return
            if now >= self._due_at:
                try:
                    self._end_group(life)  # what it forked would keep its port and serve on
                    self._spawn()
                except (OSError, StackError, subprocess.SubprocessError) as error:
                    self._due_at = now + self._backoff_s
                    self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
                    self._report(f"{self.name} could not be started: {error}")
                    return
                self._due_at = None
                self.restarts += 1
                self._report(f"{self.name} was started again (pid {self.pid})")

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        if not self.plan.log.exists():
            return ""
        with self.plan.log.open("rb") as log:
            log.seek(max(0, self.plan.log.stat().st_size - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _obituary(self, what: str) -> str:
        tail = self.log_tail()
        return f"{self.name} {what}. Its log, {self.plan.log}, ends:\n{tail}"

    def _spawn(self) -> None:
        self.plan.before_start()
        with _open_log(self.plan.log) as log:
            process = _forker.submit(self._fork, log).result()
        self._life = _Life(process)

    def _fork(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        launch = [sys.executable, "-I", "-S", str(ROOT / "ops" / "launch.py")]
        terms = [str(os.getpid()), str(int(self.plan.death_signal)), self.plan.identity]
        return subprocess.Popen(  # noqa: S603 -- our own launcher and our own command
            [*launch, *terms, *self.plan.command()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=dict(self.plan.environment),
            # A session of its own: Ctrl-C in the terminal reaches the supervisor alone.
            start_new_session=True,
        )

    def _signal(self, life: _Life, number: signal.Signals) -> None:
        if life.process.poll() is None:
            life.process.send_signal(number)

    def _end_group(self, life: _Life) -> None:
        try:
            os.killpg(life.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # none of it is left: what we want
        except PermissionError:
            life.process.kill()  # macOS says so of a group of zombies
        life.process.wait(self.plan.stop_timeout_s)
        # SIGKILL is sent, not yet suffered: on a busy machine the others live on for a moment.
        deadline = time.monotonic() + self.plan.stop_timeout_s
        while _has_members(life.process.pid):
            if time.monotonic() > deadline:
                group = life.process.pid
                msg = f"{self.name} left processes that SIGKILL does not end: group {group}"
                raise StackError(msg)
            time.sleep(_POLL_S)


class Supervisor:
    """A thread that starts dead children again."""

    def __init__(self, children: Sequence[Child]) -> None:
        """Take the children in the order in which they depend on each other."""
        self._children = children
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onsale-supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer; the children stay as they are."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            for child in self._children:
                child.tend(time.monotonic())


def _open_log(path: Path) -> IO[bytes]:
    """Open a log to append to; one that grew over the limit makes room, keeping the last one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".old.log"))
    return path.open("ab")


def _has_members(group: int) -> bool:
    """Whether any process of the group runs; zombies hold nothing and don't count.

    Read from /proc; elsewhere (macOS) nothing is known, and the answer is no.
    Source: proc_pid_stat(5).
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_its_name = stat.read_text(errors="replace").rpartition(")")[2]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        state, _parent, its_group = after_its_name.split()[:3]
        if int(its_group) == group and state not in "ZX":
            return True
    return False


def _how(return_code: int) -> str:
    if return_code < 0:
        return f"killed by {signal.Signals(-return_code).name}"
    return f"exit code {return_code}"
