"""Where people may be sent on to: only to the origins that the reseller has named."""

import pytest

from web.returning import read_return

_ALLOWED = ("https://shop.example", "https://tickets.example:8443", "http://localhost:3000")


@pytest.mark.parametrize(
    ("text", "onward"),
    [
        ("https://shop.example", "https://shop.example/?onsale_pass=p%2F1"),
        ("HTTPS://Shop.Example:443/t", "https://shop.example/t?onsale_pass=p%2F1"),
        ("https://shop.example/t?a=1&b#c", "https://shop.example/t?a=1&b&onsale_pass=p%2F1#c"),
        ("https://shop.example/?onsale_pass=x", "https://shop.example/?onsale_pass=p%2F1"),
        ("https://tickets.example:8443/", "https://tickets.example:8443/?onsale_pass=p%2F1"),
        ("http://localhost:3000/t", "http://localhost:3000/t?onsale_pass=p%2F1"),
    ],
)
def test_a_named_origin_gets_the_pass(text: str, onward: str) -> None:
    """With the rest of the address as it was; nothing that looks like ours is passed through."""
    found = read_return(text, _ALLOWED)
    assert found is not None
    assert found.with_pass(**{"pass": "p/1"}) == onward


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "//shop.example/",
        "/tickets",
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://shop.example.evil.example/",
        "https://evil.example/shop.example",
        "https://shop.example@evil.example/",
        "https://evil.example#https://shop.example",
        "https://evil.example?https://shop.example",
        "https://evil.example\\@shop.example/",
        "https:\\\\shop.example/",
        "https://shop.example\\.evil.example",
        "https:///shop.example/",
        "https://shop.example\n.evil.example/",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\n",
        " https://shop.example/",
        "https://shop.example/a b",
        'https://shop.example/"><script>',
        "https://shop.exämple/",
        "https://shop.example?direct",
        "javascript:alert(1)//https://shop.example",
        "data:text/html,x",
        "https://shop.example:443443/",
        "https://shop.example/" + "x" * 3000,
    ],
)
def test_whatever_else_is_asked_for_leads_nowhere(text: str) -> None:
    """Other origins, and what two readers of an address might read differently."""
    assert read_return(text, _ALLOWED) is None


def test_plain_http_leads_nowhere_even_if_it_is_named() -> None:
    """A pass does not travel in the clear; a machine's own loopback is not travelling."""
    assert read_return("http://shop.example/", ["http://shop.example"]) is None
    assert read_return("http://127.0.0.1:9/", ["http://127.0.0.1:9"]) is not None
