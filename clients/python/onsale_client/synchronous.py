"""The client, without awaiting. Made from `asynchronous.py`: change that one."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx

from onsale_client.calls import Call
from onsale_client.nouns import (
    Facts,
    Holds,
    Orders,
    Shows,
    Webhooks,
)
from onsale_client.offers import (
    Allotments,
    Bundles,
    Events,
    Prices,
    Sheets,
)
from onsale_client.repeating import Course, Repeats
from onsale_client.wire import (
    Transport,
    Request,
    Response,
    TransportError,
    headers_for,
)

T = TypeVar("T")


class HttpxTransport:
    """Carries requests by httpx."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        """Take where the API is, and how long an answer may take."""
        # Reading the authorities' certificates takes longer than many calls: only for TLS.
        needs_tls = not base_url.startswith("http://")
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, verify=needs_tls)

    def send(self, request: Request) -> Response:
        """Send a request once. Raises as `Transport.send`."""
        began = time.perf_counter()
        try:
            response = self._http.request(
                request.method, request.path, headers=request.headers, content=request.content
            )
        except httpx.TransportError as error:
            raise TransportError(str(error) or type(error).__name__) from error
        took_s = time.perf_counter() - began
        return Response(response.status_code, dict(response.headers), response.content, took_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Onsale:
    """One reseller's way to the API.

    Every method raises a `ProblemError` of the kind that fits what the API refuses, and
    `NoAnswerError` when nothing was answered within all tries.
    """

    def __init__(
        self,
        credential: str | None,
        *,
        base_url: str = "http://127.0.0.1:8000",
        repeats: Repeats | None = None,
        timeout_s: float = 15.0,
        transport: Transport | None = None,
    ) -> None:
        """Take an API key or an access token (None: for what is open to all), and where the API is.

        `repeats` bounds how often and how long a request is repeated; `timeout_s` how long one
        answer may take. A `transport` of your own carries requests in place of httpx.
        """
        self._headers = headers_for(credential)
        self._repeats = repeats or Repeats()
        self._transport = transport or HttpxTransport(base_url, timeout_s)
        self.events = Events(self)
        self.shows = Shows(self)
        self.prices = Prices(self)
        self.allotments = Allotments(self)
        self.holds = Holds(self)
        self.bundles = Bundles(self)
        self.orders = Orders(self)
        self.sheets = Sheets(self)
        self.facts = Facts(self)
        self.webhooks = Webhooks(self)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def send(self, call: Call[T]) -> T:
        """Make a call, and return what it answers."""
        request = call.request(self._headers)
        return call.read(request, self.exchange(request))

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send what no method here does, and return what is answered, problems too.

        It is repeated if its method or its key makes that safe, or if you say that it is.
        """
        call = Call(method, path, Response, body, key, is_repeatable, dict(headers or {}))
        return self.exchange(call.request(self._headers))

    def exchange(self, request: Request) -> Response:
        """Send a request until it is answered by something else than `429` or a `5xx`.

        After the last try that is the answer, too.

        Raises:
            NoAnswerError: no answer came within all tries.
        """
        course = Course.begin(self._repeats, request)
        while True:
            try:
                response = self._transport.send(request)
            except TransportError as error:
                pause = course.after_failure(error)
            else:
                again_after = course.after(response)
                if again_after is None:
                    return response
                pause = again_after
            time.sleep(pause)
