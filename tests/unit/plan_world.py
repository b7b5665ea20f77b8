"""A small seating plan, and what becomes of it when something in it is changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.inventory.seating_plan import SeatingPlanError, read_plan

Json = dict[str, Any]


def seat(label: str, x: float, category: str = "Stalls") -> Json:
    """Make a seat."""
    return {
        "seat_guid": label,
        "seat_number": label.rpartition("-")[2],
        "position": {"x": x, "y": 0},
        "category": category,
    }


def small_plan() -> Json:
    """Return two rows of two seats, a stage, and a floor for 100."""
    return {
        "name": "Small hall",
        "size": {"width": 100, "height": 100},
        "categories": [{"name": "Stalls", "color": "#fff"}, {"name": "Standing"}],
        "zones": [
            {
                "name": "Main",
                "position": {"x": 0, "y": 0},
                "rows": [
                    {
                        "row_number": "A",
                        "position": {"x": 0, "y": 20},
                        "seats": [seat("A-1", 0), seat("A-2", 10)],
                    },
                    {
                        "row_number": "B",
                        "position": {"x": 0, "y": 40},
                        "seats": [seat("B-1", 0), seat("B-2", 10)],
                    },
                ],
                "areas": [
                    {
                        "shape": "rectangle",
                        "rectangle": {"width": 20, "height": 5},
                        "position": {"x": 0, "y": 0},
                        "text": {"text": "Stage", "position": {"x": 10, "y": 2}},
                    },
                    {
                        "shape": "circle",
                        "circle": {"radius": 5},
                        "position": {"x": 50, "y": 50},
                        "area_id": "floor",
                        "capacity": 100,
                        "category": "Standing",
                    },
                ],
            }
        ],
    }


def refusal(document: bytes | str | Json) -> SeatingPlanError:
    """Return why a document is refused."""
    content = json.dumps(document) if isinstance(document, dict) else document
    with pytest.raises(SeatingPlanError) as caught:
        read_plan(content)
    return caught.value


def setting(*path: str | int, to: object) -> Callable[[Json], None]:
    """Return what sets a place of a plan to something."""

    def change(plan: Json) -> None:
        place: Any = plan
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change
