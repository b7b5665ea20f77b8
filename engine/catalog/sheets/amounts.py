"""How amounts of money are written in sheets: in major units, as 39.90, whatever the currency."""

from collections.abc import Mapping
from typing import Final

_USUAL: Final = 2
# ISO 4217, table A.1: the currencies whose minor unit is not a hundredth.
_DECIMALS: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF").split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
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
