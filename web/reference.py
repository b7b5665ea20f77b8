"""The API's page, `/docs`: the document for people, made once and sent compressed."""

import asyncio
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar, Request, Response, Router, get
from msgspec import Struct

from api.compressing import accepts_gzip, gzipped
from api.contract.serving import kept_document
from web.reference_view import view
from web.rendering import html, written

_PAGE: Final = "reference_page"
_TAG_CHARACTERS: Final = 20


class _Page(Struct, frozen=True):
    content: bytes
    gzipped: bytes
    tag: str


@get("/docs")
async def reference(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show what can be called, with what, and what is answered."""
    page: _Page | None = request.app.state.get(_PAGE)
    if page is None:
        page = request.app.state[_PAGE] = await _make(request.app)
    headers = {"ETag": page.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if page.tag in request.headers.get("if-none-match", ""):
        return html(b"", HTTPStatus.NOT_MODIFIED, headers=headers)
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        return html(page.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return html(page.content, headers=headers)


async def _make(app: Litestar) -> _Page:
    document = (await kept_document(app)).document
    # Some tenths of a second: beside the event loop, which has holds to serve.
    return await asyncio.to_thread(_render, document)


def _render(document: dict[str, Any]) -> _Page:
    content = written("reference.html", reference=view(document))
    tag = f'"{sha256(content).hexdigest()[:_TAG_CHARACTERS]}"'
    return _Page(content, gzipped(content), tag)


def reference_router() -> Router:
    """Return the page's route: each application has a router of its own."""
    return Router(path="/", route_handlers=[reference], include_in_schema=False)
