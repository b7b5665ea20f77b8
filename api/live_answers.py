"""What watchers of a show are told, as server-sent events (WHATWG HTML, 9.2)."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from api.times import utc
from engine.inventory.facts import StreamId
from engine.inventory.live import Gone
from engine.inventory.live_blocks import Block, cut_changes
from engine.inventory.live_frames import Counts, Frame, Picture, pack_states
from engine.inventory.manifest import Manifest
from engine.inventory.shows import Show

BEAT: Final = b": still there\n\n"


class LiveArea(Struct, frozen=True):
    """How many places of a general admission area are in which state."""

    area: str
    open: int
    held: int
    sold: int
    blocked: int


class Snapshot(Struct, frozen=True):
    """How a show, or the part of it that is watched, stands: what was told before is void.

    `states` is base64 of two bits a position, the first in the lowest bits of the first byte: 0
    open, 1 held, 2 sold, 3 blocked or no seat. It covers the positions of `ranges`, `[start, end)`,
    one after the other. Which seat has which position: `GET /v1/shows/{show}/seats`; of seats that
    were asked for by label, `labels` tells. `state` is the show's: open places can be held while it
    is `on_sale`; of one that is cancelled or past none is open.
    """

    epoch: int
    sequence: str
    inventory_version: int
    state: str
    as_of: datetime
    ranges: tuple[tuple[int, int], ...]
    states: str
    areas: list[LiveArea]
    labels: dict[str, int] | UnsetType = UNSET


class Delta(Struct, frozen=True, omit_defaults=True):
    """What has changed since the event before: the positions that have a state now."""

    sequence: str
    inventory_version: int
    as_of: datetime
    open: list[int] = []
    held: list[int] = []
    sold: list[int] = []
    blocked: list[int] = []
    areas: list[LiveArea] = []


class GoneAnswer(Struct, frozen=True):
    """Nothing is known for now: a snapshot follows."""

    reason: Gone


_encode: Final = msgspec.json.Encoder().encode


def tell_picture(picture: Picture, show: Show, block: Block) -> bytes:
    """Return the event that tells how a part of a show stands."""
    is_by_label = block.kind == "seats"
    told = Snapshot(
        epoch=picture.at.epoch,
        sequence=str(picture.at),
        inventory_version=show.inventory_version,
        state=show.state,
        as_of=utc(picture.at_ms),
        ranges=block.ranges,
        states=base64.b64encode(pack_states(block.cut(picture.seats))).decode(),
        areas=_areas(show.manifest, block, dict(enumerate(picture.areas))),
        labels={label: start for label, (start, _) in zip(block.names, block.ranges, strict=True)}
        if is_by_label
        else UNSET,
    )
    return _event("snapshot", _encode(told), str(picture.at))


def tell_frame(
    frame: Frame, version: int, manifest: Manifest, block: Block, mask: bytes | None
) -> bytes | None:
    """Return the event that tells what has changed of a part of a show; None: nothing has."""
    by_state: dict[int, list[int]] = {state: [] for state in b"ohsb"}
    for position, state in cut_changes(block, mask, frame.seats).items():
        by_state[state].append(position)
    opened, held, sold, blocked = by_state.values()
    areas = _areas(manifest, block, frame.areas)
    if not (opened or held or sold or blocked or areas):
        return None
    at = str(frame.at)
    told = Delta(at, version, utc(frame.at_ms), opened, held, sold, blocked, areas)
    return _event("delta", _encode(told), at)


def tell_gone(why: Gone) -> bytes:
    """Return the event that tells that nothing is known for now."""
    return _event("gone", _encode(GoneAnswer(why)))


def tell_beat(at: StreamId | None) -> bytes:
    """Return what shows that the stream lives, and up to where it has told all there was."""
    return BEAT if at is None else b": still there\nid: %b\n\n" % str(at).encode()


def _areas(manifest: Manifest, block: Block, areas: Mapping[int, Counts]) -> list[LiveArea]:
    return [LiveArea(manifest.areas[n].slug, *areas[n]) for n in block.areas if n in areas]


def _event(name: str, data: bytes, at: str = "") -> bytes:
    head = f"id: {at}\nevent: {name}\ndata: " if at else f"event: {name}\ndata: "
    return b"%b%b\n\n" % (head.encode(), data)
