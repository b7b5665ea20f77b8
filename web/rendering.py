"""Makes the pages: templates, and the headers that they travel with."""

import random
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response

from web import words
from web.assets import asset_address

_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action"
)
_AGAIN_S: Final = (8, 20)
"""Everybody who met the same failure must not come again in the same second."""

_templates: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(
    grouped=words.grouped,
    moment=words.moment,
    people_ahead=words.people_ahead,
    wait_range=words.wait_range,
)


def render(
    template: str,
    status: int = HTTPStatus.OK,
    *,
    headers: dict[str, str] | None = None,
    form_origin: str | None = None,
    **given: Any,  # noqa: ANN401 - whatever the template shows
) -> Response[bytes]:
    """Return a page. Browsers hold a form's redirect to `form-action`, hence `form_origin`."""
    return html(written(template, **given), status, headers=headers, form_origin=form_origin)


def written(template: str, **given: Any) -> bytes:  # noqa: ANN401 - whatever the template shows
    """Return a page's text."""
    return _templates.get_template(template).render(given, asset=asset_address).encode()


def html(
    page: bytes,
    status: int = HTTPStatus.OK,
    *,
    headers: dict[str, str] | None = None,
    form_origin: str | None = None,
) -> Response[bytes]:
    """Return a page that is made already."""
    actions = " 'self'" if form_origin is None else f" 'self' {form_origin}"
    return Response(
        page,
        status_code=status,
        media_type="text/html",  # Litestar adds the charset
        headers={
            "Content-Security-Policy": _POLICY + actions,
            # With `no-referrer` browsers send no Origin with a form: it is what forms are held to.
            "Referrer-Policy": "same-origin",
            "Vary": "Cookie",
            **(headers or {}),
        },
    )


def see_other(address: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Send the browser on to an address, by GET."""
    return Response(
        b"",
        status_code=HTTPStatus.SEE_OTHER,
        media_type="text/plain",
        headers={"Location": address, "Referrer-Policy": "same-origin", **(headers or {})},
    )


def message(  # noqa: PLR0913 - what a page may say
    status: int,
    heading: str,
    text: str,
    *,
    here: str | None = None,
    again_after_s: int = 0,
    elsewhere: str | None = None,
) -> Response[bytes]:
    """Return a page that says one thing.

    With `here` it tries again there by itself; with `elsewhere` it links there.
    """
    if here and not again_after_s:
        again_after_s = random.randint(*_AGAIN_S)  # noqa: S311 - spreads a load
    return render(
        "message.html",
        status,
        headers={"Retry-After": str(again_after_s)} if here else None,
        heading=heading,
        text=text,
        here=here,
        again_after_s=again_after_s,
        elsewhere=elsewhere,
    )
