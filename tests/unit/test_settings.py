"""Settings: read from the environment, checked, and written back."""

from pathlib import Path

import pytest

from engine.platform.settings import (
    APP_ROLE,
    OWNER_ROLE,
    Settings,
    SettingsError,
    environment_of,
    load_settings,
    variable,
)

REQUIRED = {
    "ONSALE_REDIS_URL": "redis://localhost:6379/0",
    "ONSALE_DATABASE_URL": "postgresql://me@localhost/onsale",
    "ONSALE_SECRET": "x" * 32,
}


def test_the_required_ones_are_enough() -> None:
    """All others have defaults; an empty variable counts as unset."""
    settings = load_settings({**REQUIRED, "ONSALE_PORT": "", "OTHER": "1"})
    assert settings.port == 8000
    assert settings.queue_url() == settings.redis_url


def test_settings_are_read_as_they_were_written() -> None:
    """A child process gets the same ones."""
    settings = load_settings({**REQUIRED, "ONSALE_PORT": "1234", "ONSALE_REGION": "eu1"})
    assert (settings.port, settings.region) == (1234, "eu1")
    assert load_settings(environment_of(settings)) == settings


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_one_is_named(missing: str) -> None:
    """With the way out."""
    with pytest.raises(SettingsError, match=missing):
        load_settings({**REQUIRED, missing: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONSALE_PORT", "many"),
        ("ONSALE_PORT", "0"),
        ("ONSALE_BATCH_MAX", "0"),
        ("ONSALE_BATCH_MAX", "1025"),
        ("ONSALE_BATCH_TIMEOUT_MS", "-1"),
        ("ONSALE_RECORD_BACKLOG_MAX", "0"),
        ("ONSALE_METRICS_PORT", "-1"),
        ("ONSALE_METRICS_PORT", "65536"),
        ("ONSALE_REDIS_URL", "http://localhost"),
        ("ONSALE_DATABASE_URL", "mysql://localhost"),
        ("ONSALE_QUEUE_REDIS_URL", "localhost:6379"),
        ("ONSALE_SECRET", "short"),
        ("ONSALE_JOIN_RATE_MAX", "-1"),
        ("ONSALE_JOIN_RATE_MAX", "nan"),
        ("ONSALE_KEY_RATE_MAX", "-1"),
        ("ONSALE_ADDRESS_RATE_MAX", "-1"),
        ("ONSALE_CELLS", "us=us.onsale.example"),
        ("ONSALE_CELLS", "us="),
        ("ONSALE_CELLS", "us=ftp://us.onsale.example"),
        ("ONSALE_CELLS", "us=https://us.onsale.example/v1"),
        ("ONSALE_CELLS", "us=https://name:word@us.onsale.example"),
        ("ONSALE_CELLS", "us=https://us.onsale.example:port"),
        ("ONSALE_CELLS", "us=https://us.onsale.example\r\nx:1"),
        ("ONSALE_CELLS", "US=https://us.onsale.example"),
        ("ONSALE_CELLS", "us,us"),
        ("ONSALE_CELLS", "dev=https://dev.onsale.example"),
        ("ONSALE_JOIN_BURST", "0"),
        ("ONSALE_QUEUE_SECRETS", "short"),
        ("ONSALE_QUEUE_SECRETS", "derived,short"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: str) -> None:
    """The message has the variable that is to be changed."""
    with pytest.raises(SettingsError, match=name):
        load_settings({**REQUIRED, name: value})


def test_a_refused_secret_is_not_repeated() -> None:
    """Messages end up in logs."""
    with pytest.raises(SettingsError) as refused:
        load_settings({**REQUIRED, "ONSALE_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_role_logs_in_with_its_own_url_where_it_has_one() -> None:
    """Else with the owner's, and takes on the role afterwards."""
    own = "postgresql://app@localhost/onsale"
    settings = load_settings({**REQUIRED, "ONSALE_APP_DATABASE_URL": own})
    assert settings.database_login(APP_ROLE) == (own, APP_ROLE)
    assert settings.database_login(OWNER_ROLE) == (settings.database_url, OWNER_ROLE)


def test_cells_are_known_by_their_regions() -> None:
    """With an address, or only by name."""
    told = "us=https://us.onsale.example/, ap ,eu=http://127.0.0.1:8001"
    cells = load_settings({**REQUIRED, "ONSALE_CELLS": told}).known_cells()
    assert cells.region == "dev"
    assert cells.others == {
        "us": "https://us.onsale.example",
        "ap": None,
        "eu": "http://127.0.0.1:8001",
    }


def test_every_setting_is_documented() -> None:
    """docs/SETTINGS.md names each variable."""
    page = (Path(__file__).parents[2] / "docs" / "SETTINGS.md").read_text()
    named = {variable(field) for field in Settings.__struct_fields__}
    assert {name for name in named if f"`{name}`" not in page} == set()
