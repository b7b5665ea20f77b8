"""Which faults strike where: on one server, on a primary with a replica, on a cluster."""

from collections.abc import Mapping
from typing import Final

from loadtests.torture.faults import FAULTS, PROXIES, Strike
from loadtests.torture.faults.cluster import CLUSTER_FAULTS
from loadtests.torture.faults.replicas import REPLICA_FAULTS
from loadtests.torture.forging import FORGERIES
from loadtests.torture.ground import Shape
from loadtests.torture.older_copy import RESTORE, restore_older_copy

# What works on the files, the clock or the process of an only server.
_OF_ONE_SERVER: Final = frozenset(
    {"kill-valkey", "pause-valkey", "disk-full", "truncate-aof", "wipe-valkey", "clock-step"}
)
_OF_STORE_PROXIES: Final = tuple(f"-{proxy}" for proxy in PROXIES if proxy.endswith("-valkey"))
_ANYWHERE: Final = {kind: act for kind, act in FAULTS.items() if kind not in _OF_ONE_SERVER}

USUAL: Final[Mapping[Shape, dict[str, Strike]]] = {
    "single": {**FAULTS, RESTORE: restore_older_copy},
    "replicas": {**_ANYWHERE, **REPLICA_FAULTS},
    "cluster": {
        **{kind: act for kind, act in _ANYWHERE.items() if not kind.endswith(_OF_STORE_PROXIES)},
        **CLUSTER_FAULTS,
    },
}
"""The faults of a run that names none."""

KINDS: Final[Mapping[Shape, dict[str, Strike]]] = {
    **USUAL,
    "single": {**USUAL["single"], **FORGERIES},
}
"""Every fault that a schedule may name."""
