"""Which keys sign and which are published, by their age."""

from datetime import UTC, datetime, timedelta

from joserfc.jwk import ECKey

from engine.tenancy.signing import SigningKey, choose_keys

_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def key(name: str, age_s: float) -> SigningKey:
    """Return a key of an age."""
    private = ECKey.generate_key("P-256", private=True)
    return SigningKey(name, private, _NOW - timedelta(seconds=age_s))


def chosen(*keys: SigningKey) -> tuple[str, list[object]]:
    """Return which signs, and which are published."""
    keys_now = choose_keys(list(keys), _NOW)
    return keys_now.signer.kid, [one["kid"] for one in keys_now.published()]


def test_the_first_key_signs_at_once() -> None:
    """There is no other; of two that were made at the same time the older."""
    assert chosen(key("a", 0)) == ("a", ["a"])
    assert chosen(key("a", 1), key("b", 0)) == ("a", ["a", "b"])


def test_a_new_key_is_published_before_it_signs() -> None:
    """For two minutes, in which everybody learns of it."""
    assert chosen(key("a", 9999), key("b", 119)) == ("a", ["a", "b"])
    assert chosen(key("a", 9999), key("b", 120)) == ("b", ["a", "b"])


def test_an_old_key_is_published_while_a_token_of_its_is_good() -> None:
    """It signed until the next began to, and its tokens last ten minutes."""
    assert chosen(key("a", 9999), key("b", 120 + 600)) == ("b", ["a", "b"])
    assert chosen(key("a", 9999), key("b", 120 + 661)) == ("b", ["b"])
    assert chosen(key("a", 9999), key("b", 9000), key("c", 300)) == ("c", ["b", "c"])


def test_nothing_private_is_published() -> None:
    """Only the point."""
    [told] = choose_keys([key("a", 0)], _NOW).published()
    assert set(told) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
