"""The picture of a run: valid SVG that says what it shows."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

from loadtests.spike.picture import Line, Panel, draw

_NAMESPACE = "{http://www.w3.org/2000/svg}"


def _texts(picture: str) -> list[str]:
    root = ET.fromstring(picture)  # noqa: S314 -- our own document
    return [element.text or "" for element in root.iter(f"{_NAMESPACE}text")]


def _ys(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]


def test_a_picture_names_its_panels_lines_and_ticks() -> None:
    """Title, note, axis names with units, the curves' names where they end, and round ticks."""
    rate = Panel("answers a second", [Line("rate", [(0, 900), (1, 1400), (2, 1200)])])
    latency = Panel("ms", [Line("p50", [(0, 10), (2, 12)]), Line("p99", [(0, 11), (2, 13)])])
    texts = _texts(draw("1 000 <requests>", "a & b", [rate, latency]))
    assert {"1 000 <requests>", "a & b", "answers a second", "rate", "p50", "p99"} <= set(texts)
    assert {"0", "500", "1,000", "1,500"} <= set(texts)


def test_the_axis_that_all_panels_share_is_named() -> None:
    """Seconds, if nothing else is said."""
    panels = [Panel("p", [Line("l", [(0, 1), (1, 2)])])]
    assert "seconds since the first request" in _texts(draw("t", "n", panels))
    assert "minutes" in _texts(draw("t", "n", panels, across="minutes"))


def test_larger_values_are_drawn_higher_and_within_the_panel() -> None:
    """In SVG y grows downwards."""
    picture = draw("t", "n", [Panel("p", [Line("l", [(0, 0), (1, 50), (2, 100)])])])
    (path,) = re.findall(r'class="line c0" d="([^"]+)"', picture)
    low, middle, high = _ys(path)
    assert low > middle > high > 0


def test_names_of_curves_that_end_together_do_not_overlap() -> None:
    """They are moved apart by a line's height."""
    lines = [Line(f"l{n}", [(0, 5), (1, 5 + n / 100)]) for n in range(4)]
    picture = draw("t", "n", [Panel("p", lines)])
    places = sorted(float(y) for y in re.findall(r'class="t\d" x="[\d.]+" y="([\d.]+)"', picture))
    assert len(places) == 4
    assert all(after - before >= 15 for before, after in pairwise(places))


def test_a_picture_reads_in_light_and_dark() -> None:
    """Every colour of the light style has another in the dark one."""
    picture = draw("t", "n", [])
    light, dark = picture.split("@media (prefers-color-scheme: dark)")
    names = {"ground", "title", "grid", "axis", *(f"c{n}" for n in range(6))}
    for name in names:
        assert f".{name}" in light
        assert f".{name}" in dark


def test_panels_without_a_point_are_left_out() -> None:
    """As the lag, where the stores can't be asked; and an empty run is a picture, too."""
    picture = draw(
        "t", "n", [Panel("lag", [Line("lag", [])]), Panel("flat", [Line("l", [(0, 0)])])]
    )
    assert "lag" not in _texts(picture)
    assert "flat" in _texts(picture)
    assert _texts(draw("t", "n", []))[:2] == ["t", "n"]
