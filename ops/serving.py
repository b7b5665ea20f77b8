"""How the API is run: the one place that knows Granian's command line."""

import sys


def serve_command(host: str, port: int, workers: int, *, app: str | None = None) -> tuple[str, ...]:
    """Return the command that serves the API, or an ASGI application, with this many processes.

    A process that dies is replaced at once, which takes as long as its imports. One that dies again
    within 5.5 s ends them all, and whoever supervises them starts them anew: Granian takes that for
    a loop of crashes, and has no option for it (`--respawn-interval` is for planned restarts).
    """
    return (
        *(sys.executable, "-m", "granian", "--interface"),
        *(("rsgi", "web.app:app") if app is None else ("asgi", app)),
        *("--host", host, "--port", str(port)),
        *("--workers", str(workers), "--respawn-failed-workers"),
        *("--loop", "uvloop", "--no-ws", "--no-access-log", "--workers-kill-timeout", "5"),
        # A cap on connections, which Granian would make 1024: the API sheds load itself.
        *("--backlog", "4096", "--backpressure", "65536"),
    )
