"""Builds the requests that a round sends, byte for byte.

Sending them then costs the generator nothing but the sending.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any, Final

import msgspec

_SEED: Final = 3
TOGETHER: Final = 2


def seat_groups(plan: bytes) -> list[list[str]]:
    """Return a plan's seats as neighbours in twos, and the odd one at a row's end by itself.

    In an order that has nothing to do with their places, the same each time: buyers choose all
    over the hall.
    """
    read: dict[str, Any] = msgspec.json.decode(plan)
    groups: list[list[str]] = []
    for zone in read["zones"]:
        for row in zone["rows"]:
            labels = [seat["seat_guid"] for seat in row["seats"]]
            groups += [labels[n : n + TOGETHER] for n in range(0, len(labels), TOGETHER)]
    Random(_SEED).shuffle(groups)  # noqa: S311 -- a hall full of people is no secret
    return groups


class RequestWriter:
    """Writes requests for one show; each hold has a buyer and a key of its own."""

    _numbers = count(1)

    def __init__(self, api_key: str, show: str) -> None:
        """Take whose requests they are, and the show."""
        self._show = show
        self._headers = (
            "Host: bench.invalid\r\n"
            f"Authorization: Bearer {api_key}\r\n"
            "Content-Type: application/json\r\n"
        )

    def holds(self, groups: Iterable[Sequence[str]]) -> Iterator[bytes]:
        """Yield a hold for each group of seats."""
        head = f"POST /v1/shows/{self._show}/holds HTTP/1.1\r\n{self._headers}"
        for seats in groups:
            number = next(self._numbers)
            body = msgspec.json.encode({"seats": seats, "buyer": f"b-{number}", "ttl_s": 600})
            yield _whole(f"{head}Idempotency-Key: hold-{number:07}\r\n", body)

    def batches(self, groups: Sequence[Sequence[str]], size: int) -> Iterator[bytes]:
        """Yield batches of that many holds, as long as there are whole ones."""
        head = f"POST /v1/shows/{self._show}/batch HTTP/1.1\r\n{self._headers}"
        for first in range(0, len(groups) - size + 1, size):
            commands = [
                {
                    "op": "hold",
                    "key": f"hold-{number:07}",
                    "buyer": f"b-{number}",
                    "seats": seats,
                    "ttl_s": 600,
                }
                for seats, number in zip(groups[first : first + size], self._numbers, strict=False)
            ]
            yield _whole(head, msgspec.json.encode({"commands": commands}))

    def purchase_head(self) -> str:
        """Return a purchase up to the value of its key, which the generator fills in."""
        return f"POST /v1/shows/{self._show}/purchases HTTP/1.1\r\n{self._headers}Idempotency-Key: "


def _whole(head: str, body: bytes) -> bytes:
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
