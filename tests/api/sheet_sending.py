"""Sheets as resellers send them to be imported."""

import secrets
from typing import Final

import httpx

from tests.api.front_desk import FrontDesk

CSV: Final = "text/csv; charset=utf-8"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def send_sheet(  # noqa: PLR0913 -- what an import can be asked with
    desk: FrontDesk,
    kind: str,
    content: bytes,
    form: str = CSV,
    *,
    dry: bool = False,
    key: str | None = None,
) -> httpx.Response:
    """Import a sheet of `shows` or `prices`."""
    return desk.http.post(
        f"/v1/imports/{kind}?dry_run={'true' if dry else 'false'}",
        content=content,
        headers={"Content-Type": form, "Idempotency-Key": key or secrets.token_hex(8)},
    )
