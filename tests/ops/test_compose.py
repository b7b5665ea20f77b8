"""docker-compose.yml and Dockerfile, without a Docker engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.platform.settings import Settings, variable
from ops.commands.check import CHECKS, run_check
from ops.places import ROOT

_NODES = {f"valkey-{n}" for n in range(1, 7)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The document."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["compose", "dockerfile"])
def test_the_container_files_pass_their_linters(name: str) -> None:
    """The Compose specification's schema, and hadolint."""
    (check,) = (check for check in CHECKS if check.name == name)
    result = run_check(check)
    assert result.ok, result.output


def test_the_services_are_those_of_the_platform(compose: dict[str, Any]) -> None:
    """Both stores, the migrations, API and worker; the rest in profiles of their own."""
    platform = {"valkey", "postgres", "migrate", "api", "worker"}
    others = _NODES | {"cluster", "valkey-replica", "locust"}
    assert set(compose["services"]) == platform | others
    assert compose["services"]["locust"]["profiles"] == ["load"]
    assert compose["services"]["valkey-replica"]["profiles"] == ["replica"]
    for name in (*_NODES, "cluster"):
        assert compose["services"][name]["profiles"] == ["cluster"]


def test_what_a_service_waits_for_exists_and_can_be_waited_for(compose: dict[str, Any]) -> None:
    """The schema does not see a dangling name, nor `healthy` of a service without a check."""
    services = compose["services"]
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed]


def test_every_volume_that_is_mounted_is_declared_and_the_reverse(compose: dict[str, Any]) -> None:
    """The stores' data outlive their containers."""
    mounted = {
        mount.partition(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", [])
    }
    stores = {"valkey", "valkey-replica", "postgres"}
    assert mounted == set(compose["volumes"]) == stores | _NODES


def test_every_build_target_is_a_stage_of_the_dockerfile(compose: dict[str, Any]) -> None:
    """Images that are built are those that the Dockerfile has."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE))
    targets = {
        service["build"]["target"] for service in compose["services"].values() if "build" in service
    }
    assert targets <= stages
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    assert all((ROOT / name).exists() for name in copied)


def test_the_variables_are_settings_that_exist(compose: dict[str, Any]) -> None:
    """A misspelt ONSALE_* variable would be ignored in silence."""
    known = {variable(field) for field in Settings.__struct_fields__}
    for service in compose["services"].values():
        for name in service.get("environment", {}):
            assert not name.startswith("ONSALE_") or name in known


def test_no_secret_is_written_in_the_files(compose: dict[str, Any]) -> None:
    """Secrets come from the environment, and a missing one stops the start."""
    environment = compose["services"]["api"]["environment"]
    assert environment["ONSALE_SECRET"].startswith("${ONSALE_SECRET:?")
    assert "${POSTGRES_PASSWORD:?" in environment["ONSALE_DATABASE_URL"]


@pytest.mark.parametrize("name", ["valkey", "valkey-replica", *sorted(_NODES)])
def test_valkey_is_as_durable_as_the_embedded_one(compose: dict[str, Any], name: str) -> None:
    """The same three settings that the doctor insists on."""
    words = compose["services"][name]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


def test_what_the_image_copies_is_let_through() -> None:
    """.dockerignore names what comes in; each of the packages that run must be among it."""
    allowed = {
        line.removeprefix("!")
        for line in Path(ROOT, ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert {"api", "engine", "lua", "migrations", "ops", "requirements", "workers"} <= allowed
