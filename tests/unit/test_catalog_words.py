"""What the catalogue is told in words: languages, links, descriptions, bodies with faults."""

import msgspec
import pytest

from api.event_inputs import EventBody, EventChangeBody, PerformerBody
from engine.catalog.languages import language_tag
from engine.catalog.links import link_fault
from engine.catalog.texts import clean_text, line_fault, text_fault

_NOBODY = "\u202e"
_PILED = "e" + "\u0301" * 10


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("de", "de"),
        ("DE-at", "de-AT"),
        ("deu", "de"),
        ("ger", "de"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("gsw", "gsw"),
        ("zxx", "zxx"),
        ("xx", None),
        ("en-UK", None),
        ("de-Abcd", None),
        ("es-418", None),
        ("de_DE", None),
        ("de-", None),
        ("", None),
        ("german", None),
    ],
)
def test_a_language_has_one_tag(text: str, tag: str | None) -> None:
    """Whatever code it came by; what is no language has none."""
    assert language_tag(text) == tag


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example.com/x?y=%20&z=1#part",
        "https://xn--bcher-kva.example",
        "HTTPS://A.EXAMPLE",
    ],
)
def test_the_public_is_sent_to_secure_pages(url: str) -> None:
    """By a host's name."""
    assert link_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.example.com", "javascript:alert(1)", "data:text/html,x", "//a.example.com", ""),
        *("https://", "https://localhost/", "https://intranet/", "https://printer.local/"),
        *("https://192.0.2.7/", "https://[2001:db8::1]/", "https://1.2.3", "https://[x"),
        *("https://me@a.example.com/", "https://me:word@a.example.com/", "https://a..example"),
        *(
            "https://a.example.com:port/",
            "https://a.example.com:99999/",
            "https://b\u00fccher.example",
        ),
        *("https://a.example.com/\u202e", "https://a.example.com/ x", "https://a.example.com/\n"),
        *("https://a.example.com/%zz", "https://a.example.com/" + "x" * 1000),
    ],
)
def test_and_nowhere_else(url: str) -> None:
    """Whatever a browser would make of it."""
    assert link_fault(url) is not None


def test_a_description_keeps_its_lines() -> None:
    """In one form: composed, line feeds between them, no white space at their ends."""
    assert clean_text("\r\nOne  \r\n\r\n\ttwo\rthre\u0065\u0301\n\n") == "One\n\n\ttwo\nthre\u00e9"
    assert text_fault("One\r\n\ttwo\rthree\n\U0001faea \U0001f469\u200d\U0001f3a4") is None


@pytest.mark.parametrize(
    "text", ["a\x00", "a\x1b[0m", "a\u2028b", f"a{_NOBODY}b", _PILED, "a\ue000"]
)
def test_nothing_hides_in_a_text(text: str) -> None:
    """No controls, nothing that turns its direction, no towers of accents."""
    assert text_fault(text) is not None
    assert line_fault(text, characters_max=100) is not None


def test_a_text_is_bounded_as_it_is_kept() -> None:
    """And a line has one line."""
    assert text_fault("x" * 10_000 + "\n" * 100) is None
    assert text_fault("x" * 10_001) is not None
    assert line_fault("one\ntwo", characters_max=100) is not None
    assert line_fault("x" * 101, characters_max=100) is not None


_ALL_WRONG = {
    "name": f"A{_NOBODY}",
    "type": "rave",
    "description": "a\x00",
    "pictures": [
        {"url": "https://a.example.com/1.jpg", "alt": "x" * 301},
        {"url": "http://a.example.com/2.jpg", "credit": "a\nb"},
    ],
    "age_min": 100,
    "languages": ["de", "xx", "deu"],
    "visibility": "secret",
    "public_from": "1999-12-31T00:00:00Z",
    "performers": ["prf_dev_1f0a9c3355d2e87d", "prf_dev_1f0a9c3355d2e87d"],
}
_ALL_FAULTS = {
    *("/name", "/type", "/description", "/pictures/0/alt", "/pictures/1/url", "/age_min"),
    *("/pictures/1/credit", "/languages/1", "/languages/2", "/visibility", "/public_from"),
    "/performers/1",
}


@pytest.mark.parametrize("kind", [EventBody, EventChangeBody])
def test_all_that_is_wrong_with_an_event_is_told_at_once(
    kind: type[EventBody] | type[EventChangeBody],
) -> None:
    """Each with its place, whether it is new or changed."""
    body = msgspec.convert(_ALL_WRONG, kind)
    assert {fault.pointer for fault in body.unfit()} == _ALL_FAULTS


def test_all_that_is_wrong_with_a_performer_is_told_at_once() -> None:
    """Lists that are too long, too."""
    link = {"url": "https://a.example.com"}
    wrong = {
        "name": "...",
        "pictures": [link] * 21,
        "links": [{"url": "ftp://a.example.com", "label": "x" * 81}, *[link] * 20],
    }
    faults = msgspec.convert(wrong, PerformerBody).faults()
    told = ["/name", "/pictures", "/links", "/links/0/url", "/links/0/label"]
    assert [fault.pointer for fault in faults] == told


def test_null_clears_and_what_is_left_out_stays() -> None:
    """In changes of an event."""
    body = msgspec.json.decode(b'{"description":null,"age_min":null}', type=EventChangeBody)
    changes = body.changes(())
    assert msgspec.to_builtins(changes) == {"description": "", "age_min": None}
