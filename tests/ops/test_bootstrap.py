"""The script `onsale`: what it brings, when, and what it says if it can't.

A stand-in for uv makes the environment from the packages that are here already, and notes how it
was called: nothing is fetched.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from itertools import pairwise
from pathlib import Path

import pytest

from ops.places import ROOT

STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys, time
words = sys.argv[1:]
if words == ["--version"]:
    print("uv 99.0.0")
    sys.exit()
names = ("UV_DEFAULT_INDEX", "UV_CACHE_DIR", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE")
seen = {{name: os.environ.get(name) for name in names}}
with open(os.environ["STAND_IN_LOG"], "a") as log:
    log.write(json.dumps({{"words": words, "seen": seen}}) + "\\n")
if os.environ.get("STAND_IN_FAILS"):
    sys.exit("no such package")
time.sleep(0.5)
if words[0] == "venv":
    import venv
    venv.create(words[-1], clear=True, symlinks=True)
else:
    python = pathlib.Path(words[words.index("--python") + 1])
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    (site / "here.pth").write_text({sysconfig.get_path("purelib")!r})
"""


class Checkout:
    """A copy of the checkout, and a home, both empty of what was installed before."""

    def __init__(self, directory: Path) -> None:
        """Copy what the script and `./onsale version` need."""
        self.root = directory / "checkout"
        self.home = directory / "home"
        self.tools = directory / "tools"
        self.log = directory / "uv-calls"
        for path in (self.root, self.home, self.tools):
            path.mkdir()
        for name in ("onsale", "pyproject.toml"):
            shutil.copy2(ROOT / name, self.root)
        for name in ("ops", "engine", "migrations", "requirements"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        (self.tools / "uv").write_text(STAND_IN, encoding="utf-8")
        (self.tools / "uv").chmod(0o755)
        self.environment = {
            "PATH": f"{self.tools}:/usr/bin:/bin",
            "HOME": str(self.home),
            "STAND_IN_LOG": str(self.log),
            "PIP_CONFIG_FILE": os.devnull,
        }

    def start(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """Start `./onsale` from elsewhere, with changes to the environment."""
        return subprocess.Popen(
            [sys.executable, str(self.root / "onsale"), *words],
            cwd=self.home,
            env=self.environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **changes: str) -> tuple[int, str, str]:
        """Run `./onsale` and return its exit code and what it printed."""
        with self.start(*words, **changes) as process:
            out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    @property
    def calls(self) -> list[dict[str, dict[str, str | None]]]:
        """How uv was called."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    @property
    def verbs(self) -> list[str]:
        """Each call of uv in short: `venv`, or the requirements file."""
        return [Path(call["words"][-1]).name for call in self.calls]  # pyright: ignore[reportArgumentType]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh checkout."""
    return Checkout(tmp_path)


def test_the_first_start_installs_and_the_second_does_not(checkout: Checkout) -> None:
    """One environment, one installation; then a start goes straight to the command."""
    code, out, err = checkout.run("version")
    assert code == 0, err
    assert out.startswith("onsale ")
    assert "installing the packages" in err
    assert checkout.verbs == ["venv", "runtime.txt"]
    code, out, err = checkout.run("version")
    assert (code, err) == (0, "")
    assert checkout.verbs == ["venv", "runtime.txt"]


def test_checks_bring_more_and_other_commands_leave_it(checkout: Checkout) -> None:
    """`check` and `test` need the larger set; `up` must not take it away again."""
    checkout.run("version")
    checkout.run("check", "--help")
    checkout.run("version")
    checkout.run("test", "--help")
    assert checkout.verbs == ["venv", "runtime.txt", "dev.txt"]
    with (checkout.root / "requirements" / "runtime.txt").open("a", encoding="utf-8") as pins:
        pins.write("# another pin\n")
    checkout.run("version")
    assert checkout.verbs == ["venv", "runtime.txt", "dev.txt"]
    with (checkout.root / "requirements" / "dev.txt").open("a", encoding="utf-8") as pins:
        pins.write("# another pin\n")
    checkout.run("version")
    assert checkout.verbs[3:] == ["dev.txt"]


@pytest.mark.parametrize("command", ["check", "test", "spike"])
def test_a_command_that_needs_more_finds_it_on_a_new_machine(
    checkout: Checkout, command: str
) -> None:
    """Whichever is the first that somebody calls."""
    checkout.run(command, "--help")
    assert checkout.verbs == ["venv", "dev.txt"]


def test_a_changed_requirements_file_is_installed(checkout: Checkout) -> None:
    """After a pull that changes a pin, the next start installs it, in the same environment."""
    checkout.run("version")
    with (checkout.root / "requirements" / "runtime.txt").open("a", encoding="utf-8") as pins:
        pins.write("# another pin\n")
    checkout.run("version")
    assert checkout.verbs == ["venv", "runtime.txt", "runtime.txt"]


def test_two_first_starts_at_once_install_once(checkout: Checkout) -> None:
    """The second waits for the first, says so, and both run."""
    both = [checkout.start("version") for _ in range(2)]
    told = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert checkout.verbs == ["venv", "runtime.txt"]
    assert any("another ./onsale is setting up" in err for _, err in told)


def test_a_failed_installation_is_told_and_tried_again(checkout: Checkout) -> None:
    """The message has uv's own; nothing half done counts as done."""
    code, _, err = checkout.run("version", STAND_IN_FAILS="1")
    assert code == 1
    assert "no such package" in err
    assert "Traceback" not in err
    code, _, err = checkout.run("version")
    assert code == 0, err


def test_a_moved_checkout_is_set_up_anew(checkout: Checkout) -> None:
    """Scripts of an environment that was moved would not start."""
    checkout.run("version")
    moved = checkout.root.with_name("elsewhere")
    checkout.root.rename(moved)
    checkout.root = moved
    code, _, err = checkout.run("version")
    assert code == 0, err
    assert checkout.verbs == ["venv", "runtime.txt"] * 2


def test_what_pip_was_told_reaches_uv_and_a_foreign_environment_does_not(
    checkout: Checkout,
) -> None:
    """An index and certificates set for pip serve uv too; VIRTUAL_ENV and PYTHONPATH don't."""
    code, _, err = checkout.run(
        "version",
        PIP_INDEX_URL="https://packages.example/simple",
        PIP_CERT="/certificates.pem",
        VIRTUAL_ENV="/somewhere/else",
        PYTHONPATH="/somewhere/else",
    )
    assert code == 0, err
    seen = checkout.calls[-1]["seen"]
    assert seen["UV_DEFAULT_INDEX"] == "https://packages.example/simple"
    assert seen["SSL_CERT_FILE"] == "/certificates.pem"
    assert (seen["VIRTUAL_ENV"], seen["PYTHONPATH"]) == (None, None)


def test_what_uv_was_told_is_left_alone(checkout: Checkout) -> None:
    """Settings for uv itself win over pip's."""
    checkout.run(
        "version",
        UV_DEFAULT_INDEX="https://mine.example/simple",
        PIP_INDEX_URL="https://other.example/simple",
    )
    assert checkout.calls[-1]["seen"]["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


def test_without_a_home_the_cache_lies_in_the_checkout(checkout: Checkout) -> None:
    """HOME may be missing or closed."""
    checkout.home.joinpath("file").touch()
    code, _, err = checkout.run("version", HOME=str(checkout.home / "file"))
    assert code == 0, err
    cache = checkout.calls[-1]["seen"]["UV_CACHE_DIR"]
    assert cache == str(checkout.root / ".onsale" / "cache")


def test_a_checkout_that_cannot_be_written_is_told(checkout: Checkout) -> None:
    """A sentence, and what to do."""
    (checkout.root / ".onsale").write_text("in the way", encoding="utf-8")
    code, _, err = checkout.run("version")
    assert code == 1
    assert "can't be written" in err
    assert "chown" in err


def test_where_no_uv_serves_and_none_can_be_brought_the_way_out_is_told(
    checkout: Checkout,
) -> None:
    """The uv on PATH is too old and no index can be reached: what was tried, what to install."""
    old = checkout.tools / "uv"
    old.write_text('#!/bin/sh\necho "uv 0.4.0"\n', encoding="utf-8")
    code, _, err = checkout.run("version", PIP_NO_INDEX="1")
    assert code == 1
    assert "bringing uv" in err
    assert "install uv" in err
    assert "-m pip install" in err
    assert not (checkout.root / ".onsale" / "uv").exists()


def test_a_python_without_pip_and_ensurepip_runs_what_is_installed(checkout: Checkout) -> None:
    """Neither is needed where uv is there: it does the work."""
    bare = checkout.home / "bare"
    venv.create(bare, symlinks=True, with_pip=False)
    done = subprocess.run(
        [bare / "bin" / "python", checkout.root / "onsale", "version"],
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_no_file_that_is_installed_from_names_a_host() -> None:
    """Where packages come from is the user's setting."""
    for path in (ROOT / "onsale", *(ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        assert "--index-url" not in text, path


def test_every_pinned_package_has_hashes() -> None:
    """What is installed is what was pinned, byte for byte."""
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for line, following in pairwise(lines):
            if "==" in line and not line.startswith(" "):
                assert following.strip().startswith("--hash=sha256:"), f"{path}: {line}"
