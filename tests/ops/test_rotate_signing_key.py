"""`./onsale rotate-signing-key`: what is published afterwards, by a process that runs on."""

import time
from subprocess import run
from sys import executable

import httpx

from ops.places import ROOT
from ops.stack import Stack


def rotate(stack: Stack, *options: str) -> str:
    """Run the command on a stack, and return the new key's name."""
    made = run(
        [executable, "-m", "ops", "rotate-signing-key", *options],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return made.stdout.split()[1]


def published(stack: Stack, expected: set[str]) -> set[str]:
    """Return the published keys, once they are as expected or half a minute has passed."""
    until = time.monotonic() + 30
    while True:
        found = _now(stack)
        if found == expected or time.monotonic() > until:
            return found
        time.sleep(1)


def test_a_new_key_is_published_beside_the_old_or_in_its_place(stack: Stack) -> None:
    """In its place if that was compromised."""
    old = _now(stack)
    new = rotate(stack)
    assert published(stack, old | {new}) == old | {new}
    only = rotate(stack, "--compromised")
    assert published(stack, {only}) == {only}


def _now(stack: Stack) -> set[str]:
    answer = httpx.get(f"{stack.base_url}/.well-known/jwks.json", timeout=10)
    return {key["kid"] for key in answer.json()["keys"]}
