"""What a call may raise: a problem that the API told, or that it told nothing."""

from typing import Any, Final

import msgspec

from onsale_client.wire import Request, Response

_TYPE_PREFIX: Final = "urn:onsale:problem:"
_SHOWN_BYTES: Final = 300


class OnsaleError(Exception):
    """What a call raises."""


class NoAnswerError(OnsaleError):
    """No answer came within all tries: what was asked for may have happened, or not.

    Ask again with the same `key` to learn what happened; it still happens once.
    """

    def __init__(self, request: Request, tries: int) -> None:
        """Take what was sent, and how often."""
        super().__init__(f"{request.method} {request.path}: no answer in {tries} tries")
        self.request = request
        self.tries = tries

    @property
    def key(self) -> str | None:
        """The idempotency key to ask again with."""
        return self.request.key


class ProblemError(OnsaleError):
    """A problem (RFC 9457) that the API told."""

    def __init__(self, request: Request, response: Response) -> None:
        """Take what was asked and what came back."""
        told = _read(response)
        self.status = response.status
        self.slug: str = str(told.get("type", "")).removeprefix(_TYPE_PREFIX)
        """What a program should compare, as `seats-taken`; empty: it was no problem document."""
        self.title: str = str(told.get("title", ""))
        self.detail: str = str(told.get("detail", "")) or _shown(response)
        self.members = told
        """The whole document: some kinds have members of their own, as `seats`."""
        self.request_id = response.headers.get("x-request-id")
        self.key = request.key
        super().__init__(f"{self.status} {self.slug}: {self.detail}")

    @property
    def errors(self) -> list[dict[str, str]]:
        """The offending parts of the request, each with a `reason` and where it is."""
        found = self.members.get("errors")
        return msgspec.convert(found, list[dict[str, str]]) if found else []


class UnauthorizedError(ProblemError):
    """401: no credential, or none that is known."""


class ForbiddenError(ProblemError):
    """403: the credential may not do this, or a pass is missing."""


class NotFoundError(ProblemError):
    """404: there is no such thing, or it is somebody else's."""


class RefusedError(ProblemError):
    """409: it does not fit how things stand now: taken, not on sale, bought already."""


class OverError(ProblemError):
    """410: it was, and is over."""


class InvalidRequestError(ProblemError):
    """400, 413, 415, 422: it never fits."""


class UnavailableError(ProblemError):
    """429 or 5xx after all tries: not decided, or not known; ask again with the same `key`."""


_KINDS: Final[dict[int, type[ProblemError]]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: RefusedError,
    410: OverError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: UnavailableError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def problem_of(request: Request, response: Response) -> ProblemError:
    """Return the problem that an answer tells."""
    return _KINDS.get(response.status, ProblemError)(request, response)


def _read(response: Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        return msgspec.json.decode(response.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _shown(response: Response) -> str:
    return response.body[:_SHOWN_BYTES].decode(errors="replace")
