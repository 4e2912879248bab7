"""A machine whose clock is wrong goes by the database's."""

from datetime import UTC, datetime, timedelta

import time_machine

from tests.support.workshop import Workshop


async def test_people_are_told_by_the_clock_that_dates_what_they_are_told_of(workshop: Workshop) -> None:
    """Else a daemon whose clock is ahead would tell at once of what all wait with, and amid quiet hours."""
    parts = workshop.parts
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=10)):
        async with workshop.database.acquire() as connection:
            await parts.clock.look(connection)
            theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
        look = await parts.alerts._see()
    assert abs(look.now - theirs) < timedelta(minutes=1)
