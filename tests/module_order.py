"""Which test modules run first: with two processes, a long one that comes last runs alone.

The rest follows in the order of collection. Seconds on two quiet cores; they need not be exact,
and a module that takes less than fifteen need not be here.
"""

from typing import Final

LONG_MODULES_S: Final = {
}
