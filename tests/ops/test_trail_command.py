"""`./onsale trail` tells what was done, and whether that is still what was written."""

import asyncio
import json
from getpass import getuser
from subprocess import CompletedProcess, run
from sys import executable

import pytest
from sqlalchemy import text

from engine.platform.database import connect_once
from ops.places import ROOT
from ops.stack import Stack


def onsale(stack: Stack, *words: str) -> CompletedProcess[str]:
    """Run a command on the stack."""
    return run(
        [executable, "-m", "ops", *words],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def tamper(stack: Stack, statement: str, reseller: str) -> None:
    """Do what no role may."""
    async with connect_once(stack.settings.database_url) as connection:
        await connection.execute(text("SET session_replication_role = 'replica'"))
        await connection.execute(text(statement), {"reseller": int(reseller[-16:], 16)})
        await connection.commit()


@pytest.fixture
def reseller(servers: Stack) -> str:
    """A reseller who was made by a command."""
    made = onsale(servers, "reseller", "Erfurt Tickets", "--json")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["reseller"]


def test_what_a_command_does_is_told_of_who_ran_it(servers: Stack, reseller: str) -> None:
    """As `command:` and the log-in's name."""
    shown = onsale(servers, "trail", "show", reseller, "--json")
    entries = json.loads(shown.stdout)["entries"]
    assert {entry["actor"] for entry in entries} == {f"command:{getuser()}"}
    assert {entry["table"] for entry in entries} == {"resellers", "api_keys"}
    table = onsale(servers, "trail", "show", reseller, "--actor", f"command:{getuser()}")
    assert "Erfurt Tickets" in table.stdout
    assert onsale(servers, "trail", "show", reseller, "--key", "0" * 16).stdout == "no entries\n"


def test_a_sound_chain_gives_the_anchor_that_it_is_later_held_to(
    servers: Stack, reseller: str
) -> None:
    """And another's anchor does not fit."""
    verified = onsale(servers, "trail", "verify", reseller)
    assert verified.returncode == 0, verified.stderr
    anchor = verified.stdout.split()[-1]
    again = onsale(servers, "trail", "verify", reseller, "--expect", anchor, "--json")
    assert again.returncode == 0
    [chain] = json.loads(again.stdout)["chains"]
    assert chain["sound"]
    assert f"{chain['no']}:{chain['hash']}" == anchor
    number = anchor.partition(":")[0]
    other = onsale(servers, "trail", "verify", reseller, "--expect", f"{number}:{'0' * 64}")
    assert other.returncode == 1
    assert f"BROKEN at entry {number}" in other.stdout
    longer = onsale(servers, "trail", "verify", reseller, "--expect", f"999:{'0' * 64}")
    assert longer.returncode == 1


def test_the_first_entry_that_does_not_fit_is_named(servers: Stack, reseller: str) -> None:
    """By a look at all chains too, which exits with 1."""
    change = "UPDATE trail_entries SET actor = 'nobody' WHERE reseller_id = :reseller AND no = 2"
    asyncio.run(tamper(servers, change, reseller))
    for words in ((), (reseller,)):
        verified = onsale(servers, "trail", "verify", *words)
        assert verified.returncode == 1
        assert f"{reseller}  BROKEN at entry 2: its content" in verified.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "nobody"),
        ("verify", "--expect", "1:00"),
        ("verify", "0123456789abcdef", "--expect", "x"),
        ("show", "shw_dev_0123456789abcdef"),
    ],
)
def test_what_cannot_be_meant_is_refused(servers: Stack, words: tuple[str, ...]) -> None:
    """With a sentence, and exit code 2."""
    refused = onsale(servers, "trail", *words)
    assert refused.returncode == 2, refused.stdout
    assert "Traceback" not in refused.stderr
