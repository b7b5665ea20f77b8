"""A reseller is made by one command, and its key works at once."""

import json
import urllib.request
from subprocess import run
from sys import executable

from ops.places import ROOT
from ops.stack import Stack


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
