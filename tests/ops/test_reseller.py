"""A reseller is made by one command, and its key works at once."""

import json
import urllib.request
from subprocess import run
from sys import executable

import httpx
import pytest
from click.testing import CliRunner

from ops.commands.reseller import command
from ops.places import ROOT
from ops.stack import Stack
from tests.api.people import on_ground


def test_a_new_resellers_key_is_good_for_the_api(stack: Stack) -> None:
    """The printed key signs in; the reseller has no shows yet."""
    made = run(
        [executable, "-m", "ops", "reseller", "Erfurt Tickets", "--json"],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    issued = json.loads(made.stdout)
    assert issued["name"] == "Erfurt Tickets"
    assert issued["reseller"].startswith("rsl_dev_")
    request = urllib.request.Request(  # noqa: S310 - our own stack
        f"{stack.base_url}/v1/shows", headers={"Authorization": f"Bearer {issued['key']}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own stack
        assert json.load(answer) == {"shows": [], "next_cursor": None}


def test_an_operator_lists_approves_and_suspends(stack: Stack) -> None:
    """Whoever signed up, by their id; their mail's link is printed."""
    made = on_ground(stack.settings, lambda ground: ground.sign_up())
    reseller = f"rsl_dev_{made.reseller:016x}"

    def listed(*options: str) -> list[str]:
        lines = _onsale(stack, "list", "--json", *options).splitlines()
        told = [json.loads(line) for line in lines]
        return [one["status"] for one in told if one["reseller"] == reseller]

    assert listed() == ["pending"]
    assert listed("--status", "approved") == []
    assert "owner not confirmed" in _onsale(stack, "list")
    assert "is approved" in _onsale(stack, "approve", reseller)
    assert listed("--status", "approved") == ["approved"]
    assert "is suspended" in _onsale(stack, "suspend", reseller)
    assert listed() == ["suspended"]
    assert "/confirm?token=" in _onsale(stack, "mails")
    response = httpx.get(
        f"{stack.base_url}/v1/shows", headers={"Authorization": f"Bearer {made.key}"}, timeout=10
    )
    assert response.status_code == 401, "its sandbox is suspended, too"


@pytest.mark.parametrize("reseller", ["rsl_dev_0000000000000001", "rsl_us_x", "nonsense"])
def test_nobody_is_approved_who_is_not_there(stack: Stack, reseller: str) -> None:
    """It says so, and ends with an error."""
    with pytest.raises(RuntimeError, match="Error"):
        _onsale(stack, "approve", reseller)


def test_a_name_alone_makes_a_reseller_as_create_does(stack: Stack) -> None:
    """The form of before goes on working."""
    for words in (("Erfurt Tickets",), ("create", "Erfurt Tickets"), ("--json", "Erfurt Tickets")):
        assert "onsale_dev_live_" in _onsale(stack, *words)


def _onsale(stack: Stack, *words: str) -> str:
    done = CliRunner(env=dict(stack.environment)).invoke(command, words)
    if done.exit_code:
        raise RuntimeError(done.output)
    return done.stdout
