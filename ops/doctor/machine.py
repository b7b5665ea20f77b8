"""What the doctor looks at on this machine: the data directory, the disk, the port, the API."""

import http
import http.client
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ops.doctor.findings import Finding, doubtful, fine, wrong
from ops.port import Port, PortTakenError
from ops.running import Running

DISK_FREE_FAIL_BYTES: Final = 256 * 1024 * 1024
DISK_FREE_WARN_BYTES: Final = 2 * 1024 * 1024 * 1024
_API_TIMEOUT_S: Final = 5
_GIB: Final = 1024**3


def examine_directory(directory: Path) -> Iterator[Finding]:
    """Look whether the data can be written, and at the room that is left."""
    there = directory
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        yield wrong(
            "data directory",
            f"{directory} can't be written",
            f'make it yours: sudo chown -R "$USER" {there}, or choose another with --data',
        )
    else:
        yield fine("data directory", str(directory))
    yield judge_disk(shutil.disk_usage(there).free)


def judge_disk(free_bytes: int) -> Finding:
    """Judge the room on the data directory's disk."""
    seen = f"{free_bytes / _GIB:.1f} GiB free"
    remedy = "free some room: both stores stop accepting sales when they can't write"
    if free_bytes < DISK_FREE_FAIL_BYTES:
        return wrong("disk", seen, remedy)
    if free_bytes < DISK_FREE_WARN_BYTES:
        return doubtful("disk", seen, remedy)
    return fine("disk", seen)


def examine_port(host: str, port: int) -> Finding:
    """Look whether the port is free for `up`."""
    try:
        Port(host, port).close()
    except PortTakenError:
        return wrong(
            f"port {port}",
            "taken by another program",
            f"end that program (ss -ltnp 'sport = :{port}' names it), or use another: "
            "./onsale up --port N",
        )
    except OSError as error:
        return wrong(f"port {port}", f"{host}: {error.strerror or error}", "choose another --host")
    return fine(f"port {port}", "free")


def examine_api(running: Running) -> Finding:
    """Ask the running API whether it is ready."""
    address = urlsplit(running.base_url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=_API_TIMEOUT_S
    )
    remedy = "its log says why: logs/api.log in the data directory"
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return wrong("API", f"{running.base_url} does not answer: {error}", remedy)
    finally:
        connection.close()
    if status == http.HTTPStatus.OK:
        return fine("API", f"{running.base_url} is ready")
    return wrong("API", f"{running.base_url} is not ready ({status})", remedy)
