"""What a show has to offer, as its page tells."""

import random
from typing import Any

Selection = dict[str, Any]
"""The part of a hold's body that says which places are wanted."""


class Hall:
    """The price levels that have seats, and the areas."""

    def __init__(self, show: dict[str, Any]) -> None:
        """Take the API's answer about a show."""
        levels = [level for level in show["price_levels"] if level["seat_count"]]
        self.levels: list[str] = [level["price_level"] for level in levels]
        self.areas: list[str] = [area["area"] for area in show["areas"]]
        self._seats = sum(level["seat_count"] for level in levels)
        self._places = sum(area["capacity"] for area in show["areas"])
        self._dearest: str | None = max(
            levels, key=lambda level: level["price"]["total"], default={"price_level": None}
        )["price_level"]

    def best(self, quantity: int) -> Selection:
        """Return a wish for seats together at the dearest level; for an area if there are none."""
        return self._together(self._dearest, quantity) if self._dearest else self._area(0, quantity)

    def any(self, luck: random.Random, quantity: int) -> Selection:
        """Return a wish for something: the more there is of it, the likelier."""
        if self.areas and luck.randrange(self._seats + self._places) >= self._seats:
            return self._area(luck.randrange(len(self.areas)), quantity)
        return self._together(luck.choice(self.levels), quantity)

    def _area(self, number: int, quantity: int) -> Selection:
        return {"areas": {self.areas[number]: quantity}}

    @staticmethod
    def _together(level: str, quantity: int) -> Selection:
        return {"best_available": {"price_level": level, "quantity": quantity}}
