"""Serves the document at `/schema`: assembled once, compressed, with an ETag."""

import asyncio
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from api.compressing import accepts_gzip, gzipped
from api.contract.assembling import MAJOR, assemble
from api.contract.words import TITLE
from api.problems import MEDIA_TYPE, ProblemError, ProblemKind

_KEPT: Final = "contract"
_JSON_PATHS: Final = frozenset({"/schema", "/schema/", "/schema/openapi.json"})


class Kept(msgspec.Struct, frozen=True):
    """The document as it is sent."""

    document: dict[str, Any]
    content: bytes
    gzipped: bytes
    tag: str


def openapi_config() -> OpenAPIConfig:
    """Return how Litestar draws the routes, and serves the finished document."""
    return OpenAPIConfig(
        title=TITLE,
        version=str(MAJOR),
        use_handler_docstrings=True,
        openapi_router=Router(
            path="/schema",
            route_handlers=[],
            before_request=_send_document,
            after_request=_tell_nothing_there,
            include_in_schema=False,
        ),
        render_plugins=[
            JsonRenderPlugin(path=["/", "/openapi.json"]),
            _FinishedYaml(path=["/openapi.yaml"]),
        ],
    )


async def kept_document(app: Litestar) -> Kept:
    """Return an application's document, made when it is first asked for."""
    kept: Kept | None = app.state.get(_KEPT)
    if kept is None:
        # A quarter of a second: beside the event loop, which has holds to serve.
        kept = await asyncio.to_thread(_make, app)
        app.state[_KEPT] = kept
    return kept


def _make(app: Litestar) -> Kept:
    document = assemble(app)
    content = msgspec.json.encode(document)
    tag = f'"{sha256(content).hexdigest()[:20]}"'
    return Kept(document, content, gzipped(content), tag)


async def _send_document(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    if request.scope["path"] not in _JSON_PATHS:
        await kept_document(request.app)
        return None
    kept = await kept_document(request.app)
    headers = {"ETag": kept.tag, "Vary": "Accept-Encoding"}
    if kept.tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    content = kept.content
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        content = kept.gzipped
    return Response(content, headers=headers, media_type="application/vnd.oai.openapi+json")


class _FinishedYaml(YamlRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's interface
        kept: Kept = request.app.state[_KEPT]
        return super().render(request, kept.document)


async def _tell_nothing_there(response: Response[Any]) -> Response[Any]:
    """Put a problem in the place of the page that Litestar shows for unknown paths."""
    if response.status_code != HTTPStatus.NOT_FOUND:
        return response
    problem = ProblemError(ProblemKind.NOT_FOUND, "The document is at /schema/openapi.json.")
    return Response(problem.body(), status_code=problem.kind.status, media_type=MEDIA_TYPE)
