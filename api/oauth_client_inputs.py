"""What clients may send about OAuth clients."""

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, UnsetType, field

from api.inputs import Body, Name, name_faults
from api.key_inputs import OVERLAP_S_MAX, Scopes, repeated_scopes
from api.problems import Fault
from engine.tenancy.oauth_clients import GrantType

_URIS_MAX: Final = 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_UNSAFE: Final = re.compile(r"[\"'<>\\^`{|}*;,]")

Kind = Literal["confidential", "public"]
Uris = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=500)]],
    Meta(
        max_length=_URIS_MAX,
        description="Where people are sent back to: compared character by character. `https`, or "
        "`http` to a loopback address.",
        examples=[["https://app.example/callback"]],
    ),
]


class ClientBody(Body, frozen=True, kw_only=True):
    """An OAuth client to register."""

    name: Name
    kind: Annotated[
        Kind,
        Meta(description="A public client, such as an app on people's devices, keeps no secret."),
    ]
    grant_types: Annotated[list[GrantType], Meta(min_length=1, max_length=2)]
    redirect_uris: Uris = field(default_factory=list[str])
    scopes: Scopes

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        faults = [
            *name_faults("/name", self.name),
            *repeated_scopes(self.scopes),
            *faults_of_uris(self.redirect_uris),
        ]
        if len(set(self.grant_types)) < len(self.grant_types):
            faults.append(Fault("names one twice", pointer="/grant_types"))
        if self.kind == "public" and GrantType.CLIENT_CREDENTIALS in self.grant_types:
            reason = "a public client has no credentials to act by itself with"
            faults.append(Fault(reason, pointer="/grant_types"))
        if GrantType.AUTHORIZATION_CODE in self.grant_types and not self.redirect_uris:
            reason = "authorization_code needs an address to send people back to"
            faults.append(Fault(reason, pointer="/redirect_uris"))
        return faults


class ClientChangeBody(Body, frozen=True, kw_only=True):
    """What to change of an OAuth client."""

    name: Name | UnsetType = UNSET
    redirect_uris: Uris | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return [
            *name_faults("/name", self.name),
            *repeated_scopes(self.scopes or []),
            *faults_of_uris(self.redirect_uris or []),
        ]


class RotateSecretBody(Body, frozen=True, kw_only=True):
    """How to give a client another secret."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=OVERLAP_S_MAX, description="How long both are taken, in seconds.")
    ] = 24 * 3600


def faults_of_uris(uris: Sequence[str]) -> list[Fault]:
    """List the addresses that nobody may be sent back to."""
    return [
        Fault(reason, pointer=f"/redirect_uris/{n}")
        for n, uri in enumerate(uris)
        if (reason := _fault_of(uri)) or (reason := "is named twice" if uri in uris[:n] else "")
    ]


def _fault_of(uri: str) -> str:
    if not _VISIBLE.fullmatch(uri) or _UNSAFE.search(uri):
        return "not an address of visible ASCII characters that need no escaping"
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "not an address"
    if not host or "@" in parts.netloc:
        return "names no host, or a user"
    if "#" in uri:
        return "must have no fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return ""
    return "must be https, or http to a loopback address"
