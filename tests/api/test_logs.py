"""Logs of API and worker, at their most talkative, have nothing of people and no secrets."""

import asyncio
from collections.abc import Iterator

import pytest

from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, problem

_MARKERS = {
    "buyer": "marker-buyer-4711",
    "name": "Markerina Markersen",
    "email": "marker.person@example.org",
    "phone": "+49 361 9988776",
    "payment": "marker-payment-17",
    "agent": "marker-agent-99",
    "idempotency": "marker-idempotency-31",
}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform that logs all it can."""
    directory = tmp_path_factory.mktemp("talkative")
    with Stack(directory, environment={"ONSALE_LOG_LEVEL": "debug"}) as stack:
        yield stack


def test_logs_name_nobody_and_no_secret(talkative: Stack) -> None:
    """Typical calls, refused ones, and ones that break off amid everything."""
    key = asyncio.run(new_key(talkative.settings, "Tickets United"))
    desk = FrontDesk(talkative.base_url, key)
    with desk.http:
        buyer, email = _MARKERS["buyer"], _MARKERS["email"]
        desk.http.headers["User-Agent"] = _MARKERS["agent"]
        contact = {name: _MARKERS[name] for name in ("name", "email", "phone")}
        assert desk.http.put(f"/v1/buyers/{buyer}", json=contact).status_code == 200
        assert desk.get(f"/v1/buyers?email={email}").json()["buyers"]
        assert desk.get(f"/v1/buyers/{buyer}/export").status_code == 200
        show = desk.new_show()
        hold = show.held("A-1", buyer=buyer, key=_MARKERS["idempotency"])
        bought = show.purchase(hold, payment_reference=_MARKERS["payment"])
        assert bought.status_code in {201, 202}
        order = bought.json()["order"]
        assert desk.get(f"/v1/orders/{order}").status_code == 200
        assert desk.post(f"/v1/orders/{order}/return", {}).status_code == 200
        assert desk.http.delete(f"/v1/buyers/{buyer}").status_code == 200
        # Refusals.
        assert problem(desk.get(f"/v1/buyers?email={email}&nonsense={buyer}")) == "invalid-request"
        assert problem(desk.http.put(f"/v1/buyers/{buyer}", json={"email": buyer})) == (
            "invalid-request"
        )
        assert problem(desk.get(f"/v1/buyers/{buyer}")) == "buyer-not-found"
        assert desk.post(f"{show.path}/holds", {"buyer": [buyer]}).status_code == 422
        broken = {"Authorization": f"Bearer {key}x"}
        assert problem(desk.get(f"/v1/buyers?email={email}", broken)) == "unauthorized"
    written = {path.name: path.read_text(errors="replace") for path in talkative.logs.glob("*.log")}
    assert {"api.log", "worker.log"} <= set(written)
    secrets = {
        "key": key,
        "settings": talkative.settings.secret,
    }
    for name, log in written.items():
        for what, marker in (_MARKERS | secrets).items():
            assert marker not in log, (name, what)


def test_the_server_keeps_no_list_of_addresses(talkative: Stack) -> None:
    """A mail address may stand in a query."""
    log = (talkative.logs / "api.log").read_text(errors="replace")
    assert "/v1/buyers" not in log
