"""Ids: their outside form, what they carry, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.platform.ids import (
    EntityId,
    IdError,
    Ids,
    Prefix,
    entity_hex,
    fingerprint,
    new_entity_id,
)

SECRET = b"a secret of the tests, 32 bytes."
IDS = Ids("dev", SECRET)
RESELLER, SHOW = 12, 2**63 - 1


@settings(derandomize=True, database=None)
@given(entity=st.integers(1, 2**63 - 1), prefix=st.sampled_from(Prefix))
def test_an_entity_id_is_read_as_it_was_written(entity: int, prefix: Prefix) -> None:
    """Prefix, region, 16 hex digits."""
    text = IDS.entity(prefix, entity)
    assert text == f"{prefix}_dev_{entity:016x}"
    assert IDS.parse_entity(prefix, text) == entity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shw_dev_",
        "shw_dev_0000000000000000",
        "shw_dev_ffffffffffffffff",
        "shw_dev_000000000000001",
        "shw_dev_00000000000000001",
        "shw_dev_000000000000000G",
        "shw_dev_000000000000000A",
        "shw_dev_0000000000000001\n",
        " shw_dev_0000000000000001",
        "rsl_dev_0000000000000001",
        "shw_eu1_0000000000000001",
        "shw_dev_000000000000000\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_is_no_show_of_this_region_is_refused(text: str) -> None:
    """Another kind, another region, out of range, or other digits."""
    with pytest.raises(IdError):
        IDS.parse_entity(Prefix.SHOW, text)


def test_a_hold_id_derives_from_reseller_show_and_key() -> None:
    """The same three give the same id; any other one gives another."""
    hold = IDS.derive_hold(RESELLER, SHOW, "key")
    assert len(hold) == 16
    assert IDS.derive_hold(RESELLER, SHOW, "key") == hold
    others = {
        IDS.derive_hold(RESELLER + 1, SHOW, "key"),
        IDS.derive_hold(RESELLER, SHOW - 1, "key"),
        IDS.derive_hold(RESELLER, SHOW, "key2"),
        Ids("dev", SECRET[::-1]).derive_hold(RESELLER, SHOW, "key"),
    }
    assert len(others | {hold}) == 5


def test_a_hold_id_is_read_by_its_own_reseller_and_show_only() -> None:
    """Its MAC says that it was handed out, and to whom."""
    hold = IDS.derive_hold(RESELLER, SHOW, "key")
    text = IDS.hold(hold)
    assert IDS.parse_hold(RESELLER, SHOW, text) == hold
    for reseller, show in ((RESELLER + 1, SHOW), (RESELLER, SHOW - 1)):
        with pytest.raises(IdError):
            IDS.parse_hold(reseller, show, text)


@pytest.mark.parametrize("byte", range(16))
def test_an_invented_hold_id_is_refused(byte: int) -> None:
    """Whichever byte is changed."""
    hold = bytearray(IDS.derive_hold(RESELLER, SHOW, "key"))
    hold[byte] ^= 1
    with pytest.raises(IdError):
        IDS.parse_hold(RESELLER, SHOW, IDS.hold(bytes(hold)))


def test_an_order_id_names_its_show_and_its_hold() -> None:
    """And is refused to others, and when its show is changed."""
    hold = IDS.derive_hold(RESELLER, SHOW, "key")
    text = IDS.order(SHOW, hold)
    assert IDS.parse_order(RESELLER, text) == (SHOW, hold)
    with pytest.raises(IdError):
        IDS.parse_order(RESELLER + 1, text)
    with pytest.raises(IdError):
        IDS.parse_order(RESELLER, IDS.order(SHOW - 1, hold))
    with pytest.raises(IdError):
        IDS.parse_order(RESELLER, f"ord_dev_{'f' * 16}{hold.hex()}")
    with pytest.raises(IdError):
        IDS.parse_order(RESELLER, IDS.hold(hold))


def test_a_ticket_id_has_32_digits() -> None:
    """Of its 16 bytes."""
    assert IDS.ticket(bytes(16)) == "tkt_dev_" + "0" * 32


@pytest.mark.parametrize("region", ["", "d", "Dev", "1ev", "dev-1", "toolongone", "dev\n"])
def test_a_region_code_that_does_not_fit_is_refused(region: str) -> None:
    """2 to 8 lower-case letters and digits, a letter first."""
    with pytest.raises(ValueError, match="region"):
        Ids(region, SECRET)


def test_a_short_secret_is_refused() -> None:
    """Fewer than 16 bytes could be guessed."""
    with pytest.raises(ValueError, match="secret"):
        Ids("dev", SECRET[:15])


def test_new_entity_ids_are_positive_and_differ() -> None:
    """63 random bits."""
    ids = {new_entity_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(0 < one < 2**63 for one in ids)
    assert len(entity_hex(EntityId(1))) == 16


def test_a_fingerprint_fits_a_lua_number() -> None:
    """48 bits, the same for the same content, another for another."""
    assert fingerprint(b"a") == fingerprint(b"a") != fingerprint(b"b")
    assert all(fingerprint(bytes([n])) < 2**48 for n in range(256))
