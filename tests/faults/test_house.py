"""A process that dies amid a change of the house leaves what PostgreSQL says, soon."""

import asyncio

from sqlalchemy import delete, insert, update

from engine.platform.database import tenant_transaction
from engine.platform.tables import seat_blocks, shows
from engine.runtime import open_serving
from tests.faults.reseller_desk import ResellerDesk, told


async def test_a_release_that_redis_never_heard_of_is_completed(desk: ResellerDesk) -> None:
    """PostgreSQL had the seat given back when the process died: it comes on sale."""
    path = f"/v1/shows/{desk.show}/blocks"
    told(await desk.ask("POST", path, {"seats": ["C-2-1"], "reason": "kill"}), 200)
    await _change(desk, give_back=True)
    await _until_blocked(desk, 0)
    told(await desk.hold("C-2-1"), 201)
    await desk.assert_clean()


async def test_a_block_that_only_postgresql_has_takes_effect(desk: ResellerDesk) -> None:
    """Redis is brought to PostgreSQL's word, whichever way the two parted."""
    await _change(desk, give_back=False)
    await _until_blocked(desk, 1)
    await desk.assert_clean()


async def test_giving_back_while_redis_is_away_has_one_effect_for_one_key(
    desk: ResellerDesk,
) -> None:
    """PostgreSQL has it, so it is done; the repetition gets the same answer, and Redis follows."""
    path = f"/v1/shows/{desk.show}/blocks"
    seats = ["C-3-1", "C-3-2"]
    told(await desk.ask("POST", path, {"seats": seats, "reason": "house"}), 200)
    desk.stack.valkey.pause()
    try:
        first = told(await desk.ask("POST", f"{path}/release", {"seats": ["C-3-1"]}, "back"), 200)
    finally:
        desk.stack.valkey.resume()
    again = told(await desk.ask("POST", f"{path}/release", {"seats": ["C-3-1"]}, "back"), 200)
    assert again == first
    await _until_blocked(desk, 1)
    told(await desk.hold("C-3-1"), 201)
    told(await desk.hold("C-3-2"), 409)
    await desk.assert_clean()


async def test_blocks_and_buyers_racing_for_a_seat_have_one_winner(desk: ResellerDesk) -> None:
    """Either the house has the seat or a buyer: never both, and the stores agree."""
    path = f"/v1/shows/{desk.show}/blocks"
    seats = [f"B-{row}-{number}" for row in (6, 7) for number in range(1, 7)]
    blocks = [desk.ask("POST", path, {"seats": [seat], "reason": "house"}) for seat in seats]
    holds = [desk.hold(seat, buyer=f"b-{n}") for n, seat in enumerate(seats)]
    answers = await asyncio.gather(*holds, *blocks)
    for hold, block in zip(answers[: len(seats)], answers[len(seats) :], strict=True):
        assert sorted((hold.status == 201, block.status == 200)) == [False, True]
    counts = await desk.counts()
    assert counts["held"] + counts["blocked"] == len(seats)
    await desk.assert_clean()


async def _change(desk: ResellerDesk, *, give_back: bool) -> None:
    """Commit what a change of the house commits, and stop there."""
    show, reseller = desk.show_id(), desk.reseller
    async with open_serving(desk.stack.settings) as serving:
        found = await serving.box_office.show(reseller, show)
        seat = found.manifest.index("C-2-1")
        async with tenant_transaction(serving.app_engine, reseller) as connection:
            await connection.execute(
                update(shows)
                .where(shows.c.id == show)
                .values(inventory_version=shows.c.inventory_version + 1)
            )
            if give_back:
                await connection.execute(delete(seat_blocks).where(seat_blocks.c.show_id == show))
            else:
                await connection.execute(
                    insert(seat_blocks).values(
                        show_id=show, reseller_id=reseller, seat_index=seat, reason="house"
                    )
                )


async def _until_blocked(desk: ResellerDesk, count: int) -> None:
    async with asyncio.timeout(10):
        while (await desk.counts())["blocked"] != count:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
