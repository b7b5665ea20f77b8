"""Every setting, in one place, read from `ONSALE_*` environment variables.

docs/SETTINGS.md describes each; a test holds the two together.
"""

from collections.abc import Mapping
from hashlib import blake2b
from math import inf
from typing import Final, Literal

import msgspec

from engine.platform.cells import Cells, read_cells
from engine.platform.redis_cluster_url import (
    CLUSTER_SCHEMES,
    is_cluster_url,
    parse_cluster_url,
)

PREFIX: Final = "ONSALE_"

OWNER_ROLE: Final = "onsale_owner"
APP_ROLE: Final = "onsale_app"
RECORDER_ROLE: Final = "onsale_recorder"
AUDITOR_ROLE: Final = "onsale_auditor"

BATCH_MAX_MOST: Final = 1024
"""A script keeps a batch's ids, names and records on Lua's stack, which has room for 8000."""


DERIVED: Final = "derived"
"""Stands in `queue_secrets` and `sealing_keys` for the one that derives from `secret`."""


class SettingsError(ValueError):
    """A setting is missing or does not fit; the message names the variable and the way out."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to know about its surroundings. Times end in their unit."""

    redis_url: str
    """The inventory store: `redis://`, `rediss://`, `unix://`, or a cluster by
    `redis+cluster://host:port,host:port`. Wants `appendfsync always`."""
    database_url: str
    """PostgreSQL: `postgresql://user:password@host:port/name`. Runs the migrations; the
    processes take on a lesser role after connecting unless they have a URL of their own."""
    secret: str
    """Keys the ids' MAC. Changing it makes every open hold's id unknown. 32 characters or more."""
    queue_secrets: str = ""
    """Sign queue tokens and passes: separated by commas, the first signs, all are accepted. Each of
    32 characters or more, or `derived`: the one from `secret`, which is also taken if empty."""
    sealing_keys: str = ""
    """Wrap the keys that sensitive columns are encrypted with: separated by commas, the first
    seals, all open. As `queue_secrets`, each of 32 characters or more, or `derived`."""
    queue_redis_url: str = ""
    """A plain server for ARQ's jobs; empty: the same as `redis_url`, unless that is a cluster."""
    redis_replicas: int = 0
    """Replicas of the inventory store that could be promoted: a purchase waits for all of them."""
    app_database_url: str = ""
    """A log-in for the API; empty: `database_url` with the role `onsale_app`."""
    recorder_database_url: str = ""
    """A log-in for workers; empty: `database_url` with the role `onsale_recorder`."""
    auditor_database_url: str = ""
    """A log-in that only reads; empty: `database_url` with the role `onsale_auditor`."""
    region: str = "dev"
    """This cell's code: 2 to 8 lower-case letters and digits. Every id carries it."""
    cells: str = ""
    """The other cells: `us=https://us.onsale.example,ap`. Their ids and keys are answered with
    their address; one without an address is only known to be there."""
    host: str = "127.0.0.1"
    """The address that the API listens on."""
    port: int = 8000
    """The port that the API listens on."""
    public_url: str = ""
    """Where people and systems reach this cell, as `https://eu.onsale.example`: links in mails
    begin with it. Empty: `http://` with `host` and `port`."""
    api_workers: int = 1
    """API processes."""
    batch_max: int = 256
    """Commands in one script call, 1024 at the most."""
    lane_backlog_max: int = 4096
    """Commands that wait in one process for one show; beyond it: `overloaded`."""
    batch_timeout_ms: int = 2000
    """A batch that Redis reaches later than this changes nothing."""
    confirm_timeout_ms: int = 1500
    """How long a purchase waits for its row before it answers `recording`."""
    record_backlog_max: int = 100_000
    """Sales of one show that wait to be recorded; beyond it: `overloaded`. Holds stop at 9/10."""
    sales_kept_s: int = 900
    """How far behind the ledger the sales stream is trimmed."""
    archive_after_s: int = 86_400
    """For how long Redis keeps a show that is over or cancelled; then the ledger alone has it."""
    show_lasts_s: int = 21_600
    """How long after its `starts_at` a show is over that has no `duration_min`."""
    trusted_proxies: int = 0
    """Proxies in front that add to X-Forwarded-For: so many from its end are believed."""
    beacon_url: str = "https://api.drand.sh"
    """Where rounds of drand are fetched for draws that name one."""
    search_cache_mb: int = 128
    """Memory for what searches tell, in one API process: a quarter for answers, the rest for shows,
    of which a hundred thousand fit."""
    key_rate_max: int = 20_000
    """Requests a second by one credential, in one process; 0: any number."""
    address_rate_max: int = 1_000
    """Requests a second from one address without a credential, or with one that is not known, in
    one process; 0: any number."""
    join_rate_max: float = 60
    """Joins a minute from one address, in one process; 0: any number."""
    join_burst: int = 20
    """Joins at once from one address, in one process."""
    join_gate: str = ""
    """Who is asked before somebody joins, as `module:attribute`; empty: the proof of work."""
    join_gate_url: str = ""
    """A captcha's siteverify address, if `join_gate` is one."""
    join_gate_secret: str = ""
    """What a captcha knows this site by, if `join_gate` is one."""
    join_gate_site_key: str = ""
    """What a captcha's widget knows this site by; it is told to who must solve one."""
    live_watchers_max: int = 16_384
    """Streams of live seats that one process keeps open."""
    live_watchers_of_address_max: int = 256
    """Of them, those to one address."""
    live_watchers_of_reseller_max: int = 12_288
    """Of them, those of one reseller's shows."""
    webhook_private: Literal["off", "on"] = "off"
    """`on`: webhooks may go to this machine, and by plain HTTP. For tests and development only."""
    metrics_port: int = 0
    """Where a worker serves its metrics, on this machine only; 0: nowhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`."""

    def __repr__(self) -> str:
        """Name no value: URLs and the secret must not get into a log."""
        return "Settings(...)"

    def site_address(self) -> str:
        """Return where people and systems reach this cell, without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    def queue_url(self) -> str:
        """Return the URL of the server that ARQ uses."""
        return self.queue_redis_url or self.redis_url

    def queue_keys(self) -> list[bytes]:
        """Return what signs queue tokens; the first signs, all are accepted."""
        return self._keys(self.queue_secrets, b"onsale queue")

    def list_sealing_keys(self) -> list[bytes]:
        """Return what wraps data keys; the first seals, all open."""
        return self._keys(self.sealing_keys, b"onsale sealing")

    def _keys(self, told: str, person: bytes) -> list[bytes]:
        derived = blake2b(self.secret.encode(), person=person, digest_size=32).digest()
        listed = [part.strip() for part in told.split(",")]
        return [part.encode() if part != DERIVED else derived for part in listed if part] or [
            derived
        ]

    def known_cells(self) -> Cells:
        """Return this cell's region, and the other cells'."""
        return read_cells(self.region, self.cells)

    def database_login(self, role: str) -> tuple[str, str]:
        """Return the URL to connect with and the role to take on, for one of the four roles."""
        own = {
            APP_ROLE: self.app_database_url,
            RECORDER_ROLE: self.recorder_database_url,
            AUDITOR_ROLE: self.auditor_database_url,
            OWNER_ROLE: "",
        }[role]
        return own or self.database_url, role


_REQUIRED: Final = ("redis_url", "database_url", "secret")
_SCHEMES: Final = {
    "redis_url": ("redis", "rediss", "unix", *CLUSTER_SCHEMES),
    "queue_redis_url": ("redis", "rediss", "unix"),
    "database_url": ("postgresql", "postgres"),
    "app_database_url": ("postgresql", "postgres"),
    "recorder_database_url": ("postgresql", "postgres"),
    "auditor_database_url": ("postgresql", "postgres"),
    "public_url": ("https", "http"),
}
_SECRET_CHARACTERS_MIN: Final = 32
_PORT_MAX: Final = 65_535


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field.upper()


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from an environment.

    Raises:
        SettingsError: a required one is missing, or a value does not fit.
    """
    given = {
        field: environment[variable(field)]
        for field in Settings.__struct_fields__
        if environment.get(variable(field), "") != ""
    }
    for field in _REQUIRED:
        if field not in given:
            msg = (
                f"{variable(field)} is not set. `./onsale up` sets it for the servers that it "
                "brings; for servers of your own see docs/SETTINGS.md."
            )
            raise SettingsError(msg)
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).partition("$.")[2].rstrip("`") or "setting"
        msg = f"{variable(field)}: {error}"
        raise SettingsError(msg) from error
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for field, schemes in _SCHEMES.items():
        url: str = getattr(settings, field)
        if url and str(url).partition("://")[0].lower() not in schemes:
            msg = (
                f"{variable(field)} must start with one of {', '.join(s + '://' for s in schemes)}"
            )
            raise SettingsError(msg)
    _check_cluster(settings)
    if len(settings.secret) < _SECRET_CHARACTERS_MIN:
        msg = f"{variable('secret')} needs at least {_SECRET_CHARACTERS_MIN} characters"
        raise SettingsError(msg)
    _check_waiting_room(settings)
    for field in (
        *("port", "api_workers", "batch_max", "lane_backlog_max", "batch_timeout_ms"),
        *("record_backlog_max", "join_burst", "live_watchers_max"),
        *("live_watchers_of_address_max", "live_watchers_of_reseller_max"),
    ):
        if getattr(settings, field) < 1:
            msg = f"{variable(field)} must be 1 or more"
            raise SettingsError(msg)
    _check_rates_and_cells(settings)
    if not 0 <= settings.metrics_port <= _PORT_MAX:
        msg = f"{variable('metrics_port')} must be 0 to {_PORT_MAX}"
        raise SettingsError(msg)
    if settings.batch_max > BATCH_MAX_MOST:
        msg = f"{variable('batch_max')} must be {BATCH_MAX_MOST} or less"
        raise SettingsError(msg)


def _check_rates_and_cells(settings: Settings) -> None:
    for field in ("redis_replicas", "key_rate_max", "address_rate_max"):
        if getattr(settings, field) < 0:
            msg = f"{variable(field)} must be 0 or more"
            raise SettingsError(msg)
    try:
        settings.known_cells()
    except ValueError as error:
        msg = f"{variable('cells')}: {error}"
        raise SettingsError(msg) from error


def _check_waiting_room(settings: Settings) -> None:
    if any(len(key) < _SECRET_CHARACTERS_MIN for key in settings.queue_keys()):
        msg = f"{variable('queue_secrets')} needs at least {_SECRET_CHARACTERS_MIN} characters each"
        raise SettingsError(msg)
    if any(len(key) < _SECRET_CHARACTERS_MIN for key in settings.list_sealing_keys()):
        msg = f"{variable('sealing_keys')} needs at least {_SECRET_CHARACTERS_MIN} characters each"
        raise SettingsError(msg)
    if not 0 <= settings.join_rate_max < inf:
        msg = f"{variable('join_rate_max')} must be 0 or more"
        raise SettingsError(msg)


def _check_cluster(settings: Settings) -> None:
    if not is_cluster_url(settings.redis_url):
        return
    try:
        parse_cluster_url(settings.redis_url)
    except ValueError as error:
        msg = f"{variable('redis_url')}: {error}"
        raise SettingsError(msg) from error
    if not settings.queue_redis_url:
        msg = (
            f"{variable('queue_redis_url')} is not set: {variable('redis_url')} names a cluster, "
            "and ARQ's jobs need a plain server of their own"
        )
        raise SettingsError(msg)


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables that make `load_settings` return these settings."""
    return {variable(field): str(getattr(settings, field)) for field in Settings.__struct_fields__}
