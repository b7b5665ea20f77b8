"""What is said on the wake channel, and by whose keys."""

import pytest

from engine.inventory.keys import Wake, read_wake, show_keys, show_of


@pytest.mark.parametrize(
    ("said", "wake"),
    [
        (b"stir:000000000000002a", (Wake.STIR, 42)),
        (b"record:7fffffffffffffff", (Wake.RECORD, 2**63 - 1)),
        (b"record:8000000000000000", None),
        (b"record:" + b"f" * 40, None),
        (b"record:-1", None),
        (b"record:0", None),
        (b"record:", None),
        (b"nonsense:2a", None),
    ],
)
def test_what_nobody_can_mean_wakes_nobody(said: bytes, wake: tuple[Wake, int] | None) -> None:
    """A number that no show has would be in a query with those of others."""
    assert read_wake(said) == wake


def test_keys_tell_whose_they_are() -> None:
    """Whoever has them can wake workers for the show."""
    assert show_of(show_keys(2**63 - 1)) == 2**63 - 1
