"""How money is written in sheets: in major units, as 39.90, and shares in percent, as 12.5%."""

from collections.abc import Mapping
from typing import Final

_USUAL: Final = 2
# ISO 4217, table A.1: the currencies whose minor unit is not a hundredth.
_WITHOUT: Final = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
_WITH_THREE: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_DECIMALS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_WITHOUT, 0),
    **dict.fromkeys(_WITH_THREE, 3),
    "CLF": 4,
    "UYW": 4,
}


def decimals_of(currency: str) -> int:
    """Return how many decimals a currency's amounts have."""
    return _DECIMALS.get(currency, _USUAL)


def write_amount(minor: int, currency: str) -> str:
    """Return an amount of minor units as a sheet has it."""
    decimals = decimals_of(currency)
    if not decimals:
        return str(minor)
    digits = str(minor).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def write_share(bps: int) -> str:
    """Return a share of basis points as a sheet has it."""
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02}".rstrip("0") + "%" if rest else f"{whole}%"
