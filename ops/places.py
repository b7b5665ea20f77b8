"""Where things lie in a checkout."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The top of the checkout: children run here, so that the packages can be imported."""

HOME: Final = ROOT / ".onsale"
"""What this copy brought or made: the environment, and by default the data."""

CELLS: Final = "cells"
"""The folder below the data's in which other regions' cells have theirs."""
