"""Who watches which part of a show, in this process: each event is written once for a part.

Sending does not wait: the server takes what it is given. So the watchers of a part are gone through
in one loop, without a task or a wake-up for each, and `api.fastlane.unread` tells who reads.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

from api.fastlane.unread import Peer, bytes_on_wire
from api.live_answers import tell_beat, tell_frame, tell_gone, tell_picture
from api.server import Stream
from engine.inventory.facts import StreamId
from engine.inventory.live import Gone, LiveShow
from engine.inventory.live_blocks import Block, drawn_anew
from engine.inventory.live_frames import Frame
from engine.inventory.manifest import Manifest

STREAM_S: Final = 900.0
"""A stream ends after some minutes, when a client that follows the standard comes back."""

BEAT_S: Final = 15.0
UNREAD_BYTES_MAX: Final = 256 * 1024
STALLED_S: Final = 10.0

_JITTER: Final = 0.25
_SENT_AT_ONCE: Final = 512


class Watcher:
    """One stream."""

    __slots__ = (
        *("acknowledged", "ended", "ends_at", "last", "moved_at", "peer", "port", "sent"),
        *("sent_before", "transport"),
    )

    def __init__(
        self,
        transport: Stream,
        ends: tuple[Peer, int],
        ended: asyncio.Future[None],
        until_s: float,
    ) -> None:
        """Take what it is sent by, who is there at which port, and how long it may last."""
        self.transport = transport
        self.peer, self.port = ends
        self.ended = ended
        now = time.monotonic()
        lasts_s = STREAM_S * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self.ends_at = now + min(lasts_s, until_s)
        self.last: StreamId | None = None
        """Where it was cut off, as long as nobody knows what came since."""
        self.sent = 0
        self.sent_before: int | None = None
        """What was acknowledged of other answers, as a negative number; None: unknown."""
        self.acknowledged = 0
        self.moved_at = now

    def send(self, content: bytes) -> None:
        """Send something."""
        self.transport.send_bytes(content)
        self.sent += bytes_on_wire(content)

    def end(self) -> None:
        """Let its request end."""
        if not self.ended.done():
            self.ended.set_result(None)

    def reads(self, acknowledged: int, now: float) -> bool:
        """Return whether it reads fast enough, by what its client has acknowledged so far."""
        if self.sent_before is None:
            self.sent_before = min(self.sent - acknowledged, 0)
        unread = self.sent - acknowledged - self.sent_before
        if unread <= 0 or acknowledged != self.acknowledged:
            self.moved_at = now
        self.acknowledged = acknowledged
        return unread <= UNREAD_BYTES_MAX and now - self.moved_at <= STALLED_S


class Part:
    """A part of a show, and who watches it."""

    def __init__(self, block: Block, positions: int) -> None:
        """Begin with nobody."""
        self.block = block
        self.mask = block.mask(positions)
        self.watchers: set[Watcher] = set()
        self.told_at = time.monotonic()
        self._picture: tuple[StreamId, int, bytes] | None = None

    def draw_anew(self, manifest: Manifest) -> None:
        """Follow an edit of the show's map."""
        block = drawn_anew(self.block, manifest)
        if block != self.block:
            self.block, self._picture = block, None
            self.mask = block.mask(len(manifest.layout))

    def picture(self, live: LiveShow) -> bytes:
        """Return the event that tells how it stands, written once for all who join now."""
        picture, show = live.picture, live.show
        if picture is None:
            return b""
        version = show.inventory_version
        known = self._picture
        if known is None or known[:2] != (picture.at, version):
            told = tell_picture(picture, show, self.block)
            known = self._picture = (picture.at, version, told)
        return known[2]

    def frame(self, frame: Frame, live: LiveShow) -> bytes | None:
        """Return the event that tells what has changed of it; None: nothing has."""
        show = live.show
        return tell_frame(frame, show.inventory_version, show.manifest, self.block, self.mask)


async def send_to(watchers: Iterable[Watcher], content: bytes) -> None:
    """Send the same to all these."""
    size = bytes_on_wire(content)
    for n, watcher in enumerate(watchers, 1):
        watcher.transport.send_bytes(content)
        watcher.sent += size
        if n % _SENT_AT_ONCE == 0:
            await asyncio.sleep(0)


class Audience:
    """All who watch one show."""

    def __init__(self, follow: Callable[["Audience"], LiveShow]) -> None:
        """Begin with nobody."""
        self.parts: dict[Block, Part] = {}
        self.live = follow(self)

    def join(self, block: Block, watcher: Watcher, last: StreamId | None) -> None:
        """Let somebody watch a part; `last` is what they were told last."""
        part = self.parts.get(block)
        if part is None:
            part = self.parts[block] = Part(block, len(self.live.show.manifest.layout))
        part.watchers.add(watcher)
        watcher.send(b"retry: %d\n\n" % random.randint(500, 3000))  # noqa: S311 - no secret
        if self.live.gone is not None:
            watcher.send(tell_gone(self.live.gone))
        elif self.live.picture is None:
            watcher.last = last  # what was missed is known with the first picture
        if self.live.picture is not None:
            missed = self._missed(part, last) if last is not None else None
            watcher.send(missed or part.picture(self.live))

    def leave(self, block: Block, watcher: Watcher) -> None:
        """Let somebody go."""
        part = self.parts[block]
        part.watchers.discard(watcher)
        if not part.watchers:
            del self.parts[block]

    async def show_picture(self) -> None:
        """Tell everybody how the show stands; who came back, what they have missed."""
        sending: list[_Sending] = []
        for part in self.parts.values():
            part.draw_anew(self.live.show.manifest)
            content = part.picture(self.live)
            anew: list[Watcher] = []
            for watcher in list(part.watchers):
                last, watcher.last = watcher.last, None
                missed = self._missed(part, last) if last is not None else None
                if missed is None:
                    anew.append(watcher)
                else:
                    watcher.send(missed)
            sending.append((part, anew, content))
        await _send_all(sending)

    async def show_frame(self, frame: Frame) -> None:
        """Tell everybody what has changed."""
        # For those who watch now: who joins while it is sent knows it already.
        parts = [(part, list(part.watchers)) for part in self.parts.values()]
        await _send_all([(part, who, part.frame(frame, self.live)) for part, who in parts])

    async def show_gone(self, why: Gone) -> None:
        """Tell everybody that nothing is known for now."""
        content = tell_gone(why)
        parts = [(part, list(part.watchers)) for part in self.parts.values()]
        for _, watchers in parts:
            for watcher in watchers:
                watcher.last = None
        await _send_all([(part, watchers, content) for part, watchers in parts])

    async def beat(self, now: float) -> None:
        """Tell those who have heard nothing for a while that the stream lives."""
        quiet = [part for part in self.parts.values() if now - part.told_at > BEAT_S]
        if quiet:
            picture = self.live.picture
            content = tell_beat(picture.told if picture is not None else None)
            await _send_all([(part, list(part.watchers), content) for part in quiet])

    def _missed(self, part: Part, last: StreamId) -> bytes | None:
        """Return what was told since, None if not all of it is known any more."""
        picture = self.live.picture
        if picture is None:
            return None
        if last == picture.told:
            return tell_beat(last)
        frame = self.live.history.since(last)
        if frame is None or frame.at != picture.told:
            return None
        return part.frame(frame, self.live) or tell_beat(frame.at)


_Sending = tuple[Part, list[Watcher], bytes | None]


async def _send_all(sending: Iterable[_Sending]) -> None:
    now = time.monotonic()
    for part, _, content in sending:
        if content:
            part.told_at = now  # before any wait: a beat that came between would tell too much
    for _, watchers, content in sending:
        if content:
            await send_to(watchers, content)
