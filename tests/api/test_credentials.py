"""The short memory of API keys, on a clock of its own."""

import asyncio
from collections import Counter

import pytest

from api.credentials import FRESH_S, TOKEN_FRESH_S, Credentials
from api.problems import ProblemError, ProblemKind
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import EntityId
from engine.tenancy.key_text import SecretKind, new_secret
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind, Recognised

KEY = new_secret("dev", SecretKind.LIVE).text
OWNER = Principal(EntityId(7), PrincipalKind.KEY, EntityId(8), EVERY_SCOPE)


class KeyTable:
    """Stands for PostgreSQL's table of keys, with a switch to make it unreachable."""

    def __init__(self) -> None:
        """Start with one key."""
        self.owners = {KEY: OWNER}
        self.asked = Counter[str]()
        self.reachable = True
        self.now = 1000.0
        self.ends_in_s: float | None = None
        self.patience: asyncio.Event | None = None

    async def find(self, key: str) -> Recognised | None:
        """Tell whose key it is."""
        self.asked[key] += 1
        await asyncio.sleep(0)
        if self.patience is not None and key not in self.owners:
            await self.patience.wait()
        if not self.reachable:
            raise ConnectionRefusedError
        owner = self.owners.get(key)
        return owner and Recognised(owner, self.ends_in_s)

    def clock(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def table() -> KeyTable:
    """A table with one key."""
    return KeyTable()


@pytest.fixture
def credentials(table: KeyTable) -> Credentials:
    """What is tested, on that table."""
    return Credentials(table.find, table.clock, region="dev")


async def test_a_key_is_looked_up_once_in_a_while(
    table: KeyTable, credentials: Credentials
) -> None:
    """And again when the memory of it is no longer fresh."""
    assert [await credentials.principal(KEY) for _ in range(3)] == [OWNER] * 3
    assert table.asked[KEY] == 1
    table.now += FRESH_S
    assert await credentials.principal(KEY) == OWNER
    assert table.asked[KEY] == 2


async def test_a_revoked_key_is_refused_within_30_seconds(
    table: KeyTable, credentials: Credentials
) -> None:
    """And stays refused."""
    assert await credentials.principal(KEY) == OWNER
    del table.owners[KEY]
    table.now += 30
    assert await credentials.principal(KEY) is None
    table.reachable = False
    with pytest.raises(StoreUnavailableError):
        await credentials.principal(KEY)


async def test_a_spike_with_one_key_is_one_look_up(
    table: KeyTable, credentials: Credentials
) -> None:
    """Whoever comes while it is under way waits for it."""
    found = await asyncio.gather(*(credentials.principal(KEY) for _ in range(100)))
    assert (set(found), table.asked[KEY]) == ({OWNER}, 1)


async def test_known_keys_stay_good_while_postgresql_is_away(
    table: KeyTable, credentials: Credentials
) -> None:
    """For a quarter of an hour: so long selling goes on without it."""
    assert await credentials.principal(KEY) == OWNER
    table.reachable = False
    table.now += 899
    assert [await credentials.principal(KEY) for _ in range(3)] == [OWNER] * 3
    assert table.asked[KEY] == 2, "it is not asked again at once"
    table.now += 10
    with pytest.raises(StoreUnavailableError):
        await credentials.principal(KEY)


async def test_what_has_not_the_form_of_a_key_is_not_looked_up(
    table: KeyTable, credentials: Credentials
) -> None:
    """Nor remembered."""
    for text in ("", "x", KEY + " ", KEY[:20], "onsale_DEV_" + "k" * 43, KEY + "é", KEY * 9):
        assert await credentials.principal(text) is None
    assert not table.asked


async def test_a_flood_of_unknown_keys_does_not_keep_a_known_one_waiting(
    table: KeyTable, credentials: Credentials
) -> None:
    """A key that was good before is looked up again on a way of its own."""
    assert await credentials.principal(KEY) == OWNER
    table.now += FRESH_S
    table.patience = asyncio.Event()
    strangers = [
        asyncio.create_task(credentials.principal(new_secret("dev", SecretKind.LIVE).text))
        for _ in range(300)
    ]
    await asyncio.sleep(0.01)
    assert await asyncio.wait_for(credentials.principal(KEY), 1) == OWNER
    table.patience.set()
    told = await asyncio.gather(*strangers, return_exceptions=True)
    refused = [one for one in told if isinstance(one, ProblemError)]
    assert len(refused) == 300 - 256
    assert all(one.kind is ProblemKind.OVERLOADED for one in refused)


async def test_a_token_that_has_ended_is_not_counted_to_its_client(
    table: KeyTable,
) -> None:
    """Else whoever keeps an old one could use the client's requests a second up."""
    token = f"{'a' * 20}.{'b' * 20}.{'c' * 86}"
    ends_in_s: list[float | None] = [600.0]

    async def recognise(_: str) -> Recognised | None:
        left_s = ends_in_s[0]
        return None if left_s is None else Recognised(OWNER, left_s)

    credentials = Credentials(table.find, table.clock, region="dev", recognise=recognise)
    authorization = f"Bearer {token}"
    assert await credentials.identify(authorization) == OWNER
    ends_in_s[0] = None
    table.now += TOKEN_FRESH_S
    with pytest.raises(ProblemError):
        await credentials.identify(authorization)
    assert credentials.remembered(authorization) is None
