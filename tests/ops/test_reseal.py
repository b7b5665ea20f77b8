"""`./onsale reseal` puts everything under another key, while the platform serves."""

import asyncio
import json
from subprocess import CompletedProcess, run
from sys import executable

import pytest
from sqlalchemy import text

from engine.platform.database import connect_once, create_engine
from engine.platform.ids import EntityId
from engine.platform.sealing import Sealer, SealError
from engine.platform.settings import OWNER_ROLE
from engine.sales.buyers import BuyersOffice, Contact
from engine.tenancy.resellers import create_reseller
from ops.places import ROOT
from ops.stack import Stack
from tests.engine.ledger_world import open_world

_NEW = "a new sealing key of thirty-two characters"
_KEY_OF_NOBODY = "another sealing key of thirty-two chars"


def reseal(stack: Stack, keys: str, *words: str) -> CompletedProcess[str]:
    """Run the command with these sealing keys."""
    return run(
        [executable, "-m", "ops", "reseal", *words],
        cwd=ROOT,
        env=stack.environment | {"ONSALE_SEALING_KEYS": keys},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sealer(stack: Stack, *keys: bytes) -> Sealer:
    """Return what a process with these keys seals with."""
    return Sealer(keys, stack.settings.secret.encode())


async def keep(stack: Stack, name: str) -> EntityId:
    """Keep a buyer of a new reseller, under the settings' key."""
    owner = create_engine(stack.settings, OWNER_ROLE)
    reseller = (await create_reseller(owner, "dev", "Halle")).reseller
    await owner.dispose()
    async with open_world(stack.settings) as world:
        office = BuyersOffice(
            world.app, world.redis, sealer(stack, *stack.settings.list_sealing_keys())
        )
        await office.keep(reseller, "b-1", Contact(name=name))
    return reseller


async def name_of(stack: Stack, reseller: EntityId, *keys: bytes) -> str | None:
    """Return a buyer's name as a process with these keys reads it."""
    async with open_world(stack.settings) as world:
        office = BuyersOffice(world.app, world.redis, sealer(stack, *keys))
        known = await office.find(reseller, "b-1")
        assert known is not None
        return known.contact.name


def test_a_sealing_key_is_rotated_as_the_help_says(own_servers: Stack) -> None:
    """Both keys, then the command, then the old one is not needed any more."""
    reseller = asyncio.run(keep(own_servers, "Ada"))
    old = own_servers.settings.list_sealing_keys()[0]
    first = reseal(own_servers, f"{_NEW},derived", "--json")
    assert first.returncode == 0, first.stderr
    done = json.loads(first.stdout)
    assert done["data_keys_wrapped"] >= 1
    assert done["sealing_key"] == sealer(own_servers, _NEW.encode()).sealing_key
    assert asyncio.run(name_of(own_servers, reseller, _NEW.encode())) == "Ada"
    with pytest.raises(SealError):
        asyncio.run(name_of(own_servers, reseller, old))
    again = json.loads(reseal(own_servers, f"{_NEW},derived", "--json").stdout)
    assert again["data_keys_wrapped"] == 0
    back = reseal(own_servers, f"derived,{_NEW}")  # for the tests that follow
    assert back.returncode == 0
    assert "data keys wrapped" in back.stdout


def test_data_are_encrypted_anew(own_servers: Stack) -> None:
    """With a new data key, which the command told of in the reseller's trail."""
    reseller = asyncio.run(keep(own_servers, "Ada"))
    done = json.loads(reseal(own_servers, "derived", "--data", "--json").stdout)
    assert done["data_keys_added"] >= 1
    assert done["data_texts"] >= 2
    old = own_servers.settings.list_sealing_keys()[0]
    assert asyncio.run(name_of(own_servers, reseller, old)) == "Ada"
    told = asyncio.run(trail_of_keys(own_servers, reseller))
    assert told[-1].startswith("command:")
    assert "data keys made" in reseal(own_servers, "derived", "--data").stdout


async def trail_of_keys(stack: Stack, reseller: EntityId) -> list[str]:
    """Return who made a reseller's data keys."""
    async with connect_once(stack.settings.database_url) as connection:
        query = text(
            "SELECT actor FROM trail_entries WHERE reseller_id = :r"
            " AND object_table = 'data_keys' ORDER BY no"
        )
        return list((await connection.scalars(query, {"r": reseller})).all())


def test_a_key_that_is_missing_is_named(own_servers: Stack) -> None:
    """And nothing is lost by having tried."""
    reseller = asyncio.run(keep(own_servers, "Ada"))
    refused = reseal(own_servers, _KEY_OF_NOBODY)
    assert refused.returncode == 1
    old = own_servers.settings.list_sealing_keys()[0]
    assert sealer(own_servers, old).sealing_key in refused.stderr
    assert "Traceback" not in refused.stderr
    assert asyncio.run(name_of(own_servers, reseller, old)) == "Ada"
