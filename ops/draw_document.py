"""The document that a show's draw is published in: reading it, and checking what it says."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import msgspec

from engine.waitingroom import beacon, draw

_BYTES_MAX: Final = 65_536
_TIMEOUT_S: Final = 15
_CHUNK: Final = 50_000
_ROUND_MAX: Final = 10**10


class DocumentError(Exception):
    """There is no draw to check; the message says why."""


class Beacon(msgspec.Struct, frozen=True):
    """The public value that was named in advance."""

    name: str
    round: Annotated[int, msgspec.Meta(ge=1, le=_ROUND_MAX)] | None = None
    url: str | None = None


class DrawDocument(msgspec.Struct, frozen=True):
    """What `GET /v1/shows/{show}/queue/draw` answers, as far as it can be checked."""

    show: str
    algorithm: str
    commitment: str
    drawn: bool
    beacon: Beacon | None = None
    count: int | None = None
    secret: str | None = None
    beacon_value: str | None = None
    key: str | None = None
    digest: str | None = None


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    told: str


class Drawn(msgspec.Struct, frozen=True):
    """What a document gives for recomputing its places: with the key as derived, not as told."""

    document: DrawDocument
    count: int
    secret: bytes
    beacon_value: bytes
    key: bytes


def read_document(where: str) -> DrawDocument:
    """Read the document from an http or https address, or from a file.

    Raises:
        DocumentError: it can't be read, or is no such document.
    """
    try:
        if where.startswith(("http://", "https://")):
            body = asyncio.run(_fetch(where))
        else:
            with Path(where).open("rb") as file:
                body = file.read(_BYTES_MAX + 1)
    except TimeoutError as error:
        msg = f"{where} did not answer within {_TIMEOUT_S} s"
        raise DocumentError(msg) from error
    except (OSError, aiohttp.ClientError) as error:
        msg = f"{where} can't be read: {error}"
        raise DocumentError(msg) from error
    if len(body) > _BYTES_MAX:
        msg = f"{where} has more than {_BYTES_MAX} bytes: it is no draw's document"
        raise DocumentError(msg)
    try:
        return msgspec.json.decode(body, type=DrawDocument)
    except msgspec.DecodeError as error:
        msg = f"{where} is no draw's document: {error}"
        raise DocumentError(msg) from error


async def _fetch(address: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(address, raise_for_status=True) as answer,
    ):
        try:
            return await answer.content.readexactly(_BYTES_MAX + 1)
        except asyncio.IncompleteReadError as whole:
            return whole.partial


def open_draw(document: DrawDocument) -> Drawn:
    """Return what the places are recomputed from.

    Raises:
        DocumentError: it was not drawn yet, by another algorithm, or what is told makes no draw.
    """
    if document.algorithm != draw.ALGORITHM:
        msg = f"it was drawn by {document.algorithm!r}; this checks {draw.ALGORITHM!r} only"
        raise DocumentError(msg)
    if not document.drawn:
        msg = (
            "nothing is drawn yet. Keep the commitment until then, and check that it is the same:"
            f" {document.commitment}"
        )
        raise DocumentError(msg)
    if document.count is None or document.secret is None:
        msg = "it says that it is drawn, but tells no count or no secret"
        raise DocumentError(msg)
    secret = _bytes("secret", document.secret)
    value = _bytes("beacon_value", document.beacon_value or "")
    try:
        key = draw.derive_key(secret, document.show, document.count, value)
    except ValueError as error:
        raise DocumentError(str(error)) from error
    return Drawn(document, document.count, secret, value, key)


def _bytes(name: str, digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        msg = f"its {name} is not of hexadecimal digits"
        raise DocumentError(msg) from error


def check_origin(drawn: Drawn, noted: str | None, fetched: str | None) -> Iterator[Check]:
    """Check what the key is made of, with what was noted before and fetched elsewhere."""
    document = drawn.document
    made = draw.commitment(drawn.secret).hex()
    yield _same("commitment", made, document.commitment, "the secret's SHA-256")
    if noted is not None:
        yield _same("noted commitment", noted.lower(), document.commitment, "what you noted")
    if (document.beacon is None) != (not document.beacon_value):
        told = "a beacon was named, or its value mixed in, but not both"
        yield Check(name="beacon", ok=False, told=told)
    if fetched is not None:
        yield _same("beacon", fetched.lower(), drawn.beacon_value.hex(), "what you fetched")
    yield _same("key", drawn.key.hex(), document.key or "", "derived from all that")


def check_digest(drawn: Drawn, progress: Callable[[int], None]) -> Check:
    """Recompute all places and compare their digest; tells how many are done."""
    places = draw.Draw(drawn.key, drawn.count).places()
    digest = draw.digest_places(_counted(places, progress), drawn.count).hex()
    return _same("digest", digest, drawn.document.digest or "", f"of all {drawn.count} places")


def _counted(places: Iterator[int], progress: Callable[[int], None]) -> Iterator[int]:
    done = 0
    while chunk := list(islice(places, _CHUNK)):
        yield from chunk
        done += len(chunk)
        progress(done)


def wrong_lines(drawn: Drawn, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Give the numbers of all lines `entry,place` that the draw contradicts, and what it says.

    None is given for the lines that are right, and for empty ones.
    """
    recomputed = draw.Draw(drawn.key, drawn.count)
    recomputed.prepare()
    for number, line in enumerate(lines, 1):
        entry_text, comma, place_text = line.strip().partition(",")
        if not entry_text and not comma:
            continue
        try:
            entry, place = int(entry_text), int(place_text)
            is_at = recomputed.place(entry)
        except ValueError:
            yield number, f"is not of the form entry,place: {line.strip()[:80]!r}"
        except IndexError as error:
            yield number, str(error)
        else:
            if is_at != place:
                yield number, f"entry {entry} has place {is_at}, not {place}"


def tell_trust(drawn: Drawn) -> str:
    """Say in words whom one still trusts once all checks are right."""
    named = drawn.document.beacon
    if named is None:
        return (
            "There is no beacon: whoever ran this draw knew the secret before the close, and must"
            " be trusted not to have padded the entries until the key suited them."
        )
    told = f"The beacon is {named.name}"
    if named.round is not None and beacon.CHAIN in (named.url or ""):
        at = beacon.published_at(named.round)
        others = " or ".join(beacon.address_of(named.round, server) for server in beacon.SERVERS)
        return (
            f"{told}, round {named.round}, signed at {at:%Y-%m-%d %H:%M:%S} UTC: the entries must"
            f" have been closed before. Fetch its `randomness` yourself ({others}) and compare"
            f" it with {drawn.beacon_value.hex()}, or give it with --beacon."
        )
    where = f" ({named.url})" if named.url else ""
    return (
        f"{told}{where}. Make sure that it was named before the entries were closed and known only"
        f" after, and that its value is {drawn.beacon_value.hex()}."
    )


def plain(text: str) -> str:
    """Return a text with nothing in it but what is printed as it is."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _same(name: str, ours: str, theirs: str, what: str) -> Check:
    if ours == theirs.lower():
        return Check(name=name, ok=True, told=f"{what}: {ours}")
    told = f"{what} is {ours or 'nothing'}, the document has {theirs or 'nothing'}"
    return Check(name=name, ok=False, told=told)
