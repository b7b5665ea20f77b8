"""Who watches which part of a show, in this process: each event is written once for a part.

Sending does not wait: the server takes what it is given. So the watchers of a part are gone through
in one loop, without a task or a wake-up for each, and `api.fastlane.unread` tells who reads.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

from api.fastlane.unread import Peer, bytes_on_wire, cut_off, read_acknowledged
from api.live_answers import tell_beat, tell_frame, tell_gone, tell_picture
from api.server import Stream
from engine.inventory.facts import StreamId
from engine.inventory.live import Gone, LiveShow
from engine.inventory.live_blocks import Block
from engine.inventory.live_frames import Frame

STREAM_S: Final = 900.0
"""A stream ends after some minutes, when a client that follows the standard comes back."""

BEAT_S: Final = 15.0
UNREAD_BYTES_MAX: Final = 256 * 1024
STALLED_S: Final = 10.0

_JITTER: Final = 0.25
_SENT_AT_ONCE: Final = 512
_LOOK_S: Final = 5.0
_LOOK_BYTES: Final = 64 * 1024


class Watcher:
    """One stream."""

    __slots__ = (
        *("acknowledged", "ended", "ends_at", "file", "last", "looked_at", "looked_sent"),
        *("moved_at", "peer", "sent", "transport", "unread"),
    )

    def __init__(
        self, transport: Stream, peer: Peer, ended: asyncio.Future[None], until_s: float
    ) -> None:
        """Take what it is sent by, who is there, and how long it may last."""
        self.transport = transport
        self.peer = peer
        self.ended = ended
        now = time.monotonic()
        lasts_s = STREAM_S * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self.ends_at = now + min(lasts_s, until_s)
        self.last: StreamId | None = None
        """Where it was cut off, as long as nobody knows what came since."""
        self.file: int | None = None
        self.sent = 0
        self.acknowledged = 0
        self.unread = 0
        self.looked_at = self.moved_at = now
        self.looked_sent = 0

    def send(self, content: bytes) -> None:
        """Send something."""
        self.transport.send_bytes(content)
        self.sent += bytes_on_wire(content)

    def end(self) -> None:
        """Let its request end."""
        if not self.ended.done():
            self.ended.set_result(None)

    def wants_a_look(self, now: float) -> bool:
        """Tell whether enough was sent, or enough time has passed, to ask what was read."""
        more = self.sent - self.looked_sent
        return more > _LOOK_BYTES or (
            (more > 0 or self.unread > 0) and now - self.looked_at > _LOOK_S
        )

    def found(self, file: int, now: float) -> None:
        """Note its connection: what is counted begins here, up to one picture late."""
        acknowledged = read_acknowledged(file, self.peer)
        if acknowledged is not None:
            self.file, self.acknowledged = file, acknowledged
            self.looked_sent, self.looked_at, self.moved_at = self.sent, now, now

    def look(self, now: float) -> bool:
        """Ask what was read; return whether it reads fast enough."""
        if self.file is None:
            return True
        acknowledged = read_acknowledged(self.file, self.peer)
        if acknowledged is None:
            self.file = None  # its connection has another number, or is gone
            return True
        read = acknowledged - self.acknowledged
        more = self.sent - self.looked_sent
        self.acknowledged, self.looked_sent, self.looked_at = acknowledged, self.sent, now
        self.unread = max(self.unread + more - read, 0)
        if read > 0 or not self.unread:
            self.moved_at = now
        return self.unread <= UNREAD_BYTES_MAX and now - self.moved_at <= STALLED_S

    def cut_off(self) -> None:
        """End its connection: what it has not read would be kept for it."""
        if self.file is not None:
            cut_off(self.file, self.peer)
        self.end()


class Part:
    """A part of a show, and who watches it."""

    def __init__(self, block: Block, positions: int) -> None:
        """Begin with nobody."""
        self.block = block
        self.mask = block.mask(positions)
        self.watchers: set[Watcher] = set()
        self.told_at = time.monotonic()
        self._picture: tuple[StreamId, int, bytes] | None = None

    def picture(self, live: LiveShow) -> bytes:
        """Return the event that tells how it stands, written once for all who join now."""
        picture, show = live.picture, live.show
        if picture is None:
            return b""
        version = show.inventory_version
        known = self._picture
        if known is None or known[:2] != (picture.at, version):
            told = tell_picture(picture, version, show.manifest, self.block)
            known = self._picture = (picture.at, version, told)
        return known[2]

    def frame(self, frame: Frame, live: LiveShow) -> bytes | None:
        """Return the event that tells what has changed of it; None: nothing has."""
        show = live.show
        return tell_frame(frame, show.inventory_version, show.manifest, self.block, self.mask)


async def send_to(watchers: Iterable[Watcher], content: bytes) -> None:
    """Send the same to all these."""
    for n, watcher in enumerate(watchers, 1):
        watcher.send(content)
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
