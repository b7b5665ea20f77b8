"""What must not get into logs does not, whatever carries it there."""

import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from engine.platform.logs import configure_logs
from engine.platform.masking import MASK, mask_event, mask_text

_KEY = "onsale_eu_live_q3Zl0Zb2lJvX1d8tO5q2bYw7rE4uI9oP6aS1dF3gH5jAbCdEf"
_JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        _KEY,
        _JWT,
        f"Bearer {_JWT}",
        "Basic dXNlcjpzZWNyZXQ=",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
        "ada.lovelace+x@example.co.uk",
        "ädä@exämple.org",
        "postgresql://user:hunter2secret@db.internal/onsale",
        "DETAIL:  Key (reseller_id, email)=(17, ada@example.org) already exists.",
        "DETAIL:  Failing row contains (17, Ada Lovelace, null).",
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_masked(text: str) -> None:
    """Amid a sentence, in quotes, in JSON."""
    for around in (
        text,
        f"before {text} after",
        json.dumps({"x": text}),
        repr([text]),
        f"<{text}>",
    ):
        masked = mask_text(around)
        assert MASK in masked
        for marker in ("q3Zl", "eyJ", "dXNl", "MfKQ", "c2FsdA", "ada", "ädä", "hunter2", "Ada"):
            assert marker not in masked


@pytest.mark.parametrize(
    "text",
    [
        "show opened",
        "shw_dev_0123456789abcdef",
        "connect to 10.0.0.1:6379 failed",
        "BreakerOpenError('PostgreSQL')",
        "@decorator at line 7",
        "redis://127.0.0.1:6379/0",
        "took 17 ms @ 3 nodes",
    ],
)
def test_what_helps_stays(text: str) -> None:
    """Ids, hosts, errors."""
    assert mask_text(text) == text


def test_names_of_values_are_enough() -> None:
    """Whatever stands in them, also deep inside."""
    event: dict[str, Any] = {
        "event": "done",
        "count": 3,
        "password": "x",
        "client_secret": b"x",
        "Authorization": "x",
        "nested": {"email": "x", "list": [{"token": "x"}, ("a@b.example",)], "fine": "y"},
        "error": ValueError("a@b.example"),
    }
    assert mask_event(None, "info", event) == {
        "event": "done",
        "count": 3,
        "password": MASK,
        "client_secret": MASK,
        "Authorization": MASK,
        "nested": {"email": MASK, "list": [{"token": MASK}, [MASK]], "fine": "y"},
        "error": f"ValueError('{MASK}')",
    }


def test_tracebacks_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As structlog writes them, to a file and to a terminal."""
    for is_terminal in (False, True):
        written = _Terminal() if is_terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        configure_logs("debug")
        log = structlog.stdlib.get_logger("test").new()
        try:
            raise ValueError(_KEY)  # noqa: TRY301 - to have a traceback
        except ValueError:
            log.exception("failed", who="ada@example.org")
        assert "Traceback" in written.getvalue()
        assert "q3Zl" not in written.getvalue()
        assert "ada@" not in written.getvalue()
    structlog.reset_defaults()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_libraries_warn_of_is_masked() -> None:
    """That ends in the handler of last resort."""
    configure_logs("info")
    assert logging.lastResort is not None
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "lost %s", (_KEY,), None)
    assert logging.lastResort.format(record) == f"lost {MASK}"
    structlog.reset_defaults()
