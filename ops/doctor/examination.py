"""The whole examination."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.platform.settings import Settings, SettingsError, variable
from ops.doctor.findings import Finding, doubtful, fine, wrong
from ops.doctor.ledger import examine_ledger
from ops.doctor.machine import examine_api, examine_directory, examine_port
from ops.doctor.store import Clock, examine_queue, examine_store, store_servers
from ops.running import NotRunningError, Running, find_running, find_settings

SKEW_MAX_S: Final = 0.25
_DEFAULT_PORT: Final = 8000
_DEFAULT_HOST: Final = "127.0.0.1"


def examine(environment: Mapping[str, str], directory: Path) -> Iterator[Finding]:
    """Look at a set-up: the servers that the environment names, else the stack that runs here.

    Findings come as they are made; no single one takes longer than a few seconds.
    """
    yield from examine_directory(directory)
    try:
        yield _examine_serving(environment, find_running(directory))
        settings = find_settings(environment, directory)
    except NotRunningError as error:
        yield doubtful("servers", "none run here", str(error))
        return
    except SettingsError as error:
        yield wrong("settings", str(error), "mend it; docs/SETTINGS.md describes each setting")
        return
    yield from examine_servers(settings)


def examine_servers(settings: Settings) -> Iterator[Finding]:
    """Look at both stores, and at their clocks."""
    clocks: list[Clock] = []
    for server in store_servers(settings.redis_url):
        for seen in examine_store(server, settings.redis_replicas):
            if isinstance(seen, Clock):
                clocks.append(
                    Clock(f"{seen.name} {server.node}".rstrip(), seen.ahead_s, seen.uncertain_s)
                )
            else:
                yield seen.at(server.node)
    yield examine_queue(settings.queue_url())
    for seen in asyncio.run(_of_ledger(settings)):
        if isinstance(seen, Clock):
            clocks.append(seen)
        else:
            yield seen
    yield from judge_clocks([Clock("this machine", 0.0, 0.0), *clocks])


def judge_clocks(clocks: Sequence[Clock]) -> Iterator[Finding]:
    """Compare the clocks: sales windows and deadlines are told by more than one of them."""
    ahead = max(clocks, key=lambda clock: clock.ahead_s)
    behind = min(clocks, key=lambda clock: clock.ahead_s)
    apart_s = ahead.ahead_s - behind.ahead_s
    # What the round trips leave open is no skew.
    certain_s = apart_s - ahead.uncertain_s - behind.uncertain_s
    seen = f"{ahead.name} is {apart_s * 1000:.0f} ms ahead of {behind.name}"
    if certain_s > SKEW_MAX_S:
        yield wrong(
            "clocks",
            seen,
            "let one time server set the clocks of all machines (chrony or systemd-timesyncd); "
            f"{SKEW_MAX_S * 1000:.0f} ms are allowed",
        )
    else:
        yield fine("clocks", f"within {max(apart_s * 1000, 1):.0f} ms")


async def _of_ledger(settings: Settings) -> list[Finding | Clock]:
    return [seen async for seen in examine_ledger(settings)]


def _examine_serving(environment: Mapping[str, str], running: Running | None) -> Finding:
    if running is not None:
        return examine_api(running)
    given = environment.get(variable("port"), "")
    port = int(given) if given.isdigit() else _DEFAULT_PORT
    return examine_port(environment.get(variable("host")) or _DEFAULT_HOST, port)
