"""Who is in the fleet: told by each daemon of itself, judged by the database's clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from daemon.database.pool import Database
from daemon.fleet import members, membership
from daemon.fleet.members import Member
from daemon.fleet.membership import Membership
from daemon.ids import WorkerName
from daemon.jobs.types import JobType
from daemon.roles import ALL_ROLES, DaemonRole
from tests.support.fleet import join
from tests.support.site import eventually
from tests.support.workshop import Workshop

SCHEDULES = frozenset({DaemonRole.SCHEDULES})
AGE = "UPDATE dongbo.daemons SET seen_at = seen_at - $1::interval"
HOT = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'daemons'"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of life ten times a second."""
    monkeypatch.setattr(membership, "INTERVAL", 0.1)


async def fleet(database: Database) -> Sequence[Member]:
    """All that the database knows of."""
    async with database.acquire() as connection:
        return await members.list_members(connection)


async def seen(database: Database, part: Membership) -> Member:
    """What the others see of a daemon, once it is there."""

    async def find() -> Member | None:
        return next((each for each in await fleet(database) if each.name == part.member and each.is_live), None)

    found: Member = await eventually(find, what="the daemon among the fleet")
    return found


@asynccontextmanager
async def telling(workshop: Workshop, roles: frozenset[DaemonRole] = ALL_ROLES) -> AsyncIterator[Membership]:
    """A daemon of the machine web1 that says that it lives."""
    async with Membership(workshop.database, roles, "web1", workshop.parts.queue, "9.9.9") as part:
        yield part


async def test_a_worker_is_known_by_the_name_of_its_jobs(workshop: Workshop) -> None:
    """With what it does, how many jobs it runs in which lanes, and how its clock stands."""
    async with telling(workshop) as part:
        part.address = "http://127.0.0.1:1"
        workshop.sandbox.nhanh.faults.slow, workshop.sandbox.nhanh.faults.slow_seconds = 1.0, 0.3
        job = await workshop.submit(JobType.PULL_NHANH_CUSTOMERS)

        async def at_work() -> Member | None:
            member = await seen(workshop.database, part)
            return member if member.running_jobs and member.address and member.clock_offset is not None else None

        member: Member = await eventually(at_work)
        assert member.name == workshop.parts.queue.worker == (await workshop.parts.jobs.get(job.id)).worker
        assert (member.roles, member.running_jobs, member.lanes) == (ALL_ROLES, 1, ["main/nhanh-customers"])
        assert member.clock_offset == 0.0
        await workshop.wait(job.id)


async def test_a_daemon_that_takes_no_jobs_holds_a_name_of_its_own(workshop: Workshop) -> None:
    """So that a worker of its machine keeps its own, and the jobs with it; a second one gets the next."""
    async with telling(workshop, SCHEDULES) as first, telling(workshop, SCHEDULES) as second:
        await seen(workshop.database, first)
        await seen(workshop.database, second)
        assert {first.member, second.member} == {"web1-schedules", "web1-schedules-2"}


async def test_a_sign_of_life_is_a_small_update_in_place(workshop: Workshop) -> None:
    """It writes no index and leaves its page as it is."""
    async with telling(workshop) as part:
        before = (await seen(workshop.database, part)).seen_at
        for _sign in range(3):

            async def next_sign(before: object = before) -> Member | None:
                member = await seen(workshop.database, part)
                return member if member.seen_at != before else None

            before = (await eventually(next_sign)).seen_at

    async def counted() -> bool:
        (row,) = await workshop.rows(HOT)
        return row["n_tup_upd"] >= 3 and row["n_tup_upd"] == row["n_tup_hot_upd"]

    await eventually(counted, what="updates in place alone")


async def test_one_that_stops_says_so(workshop: Workshop) -> None:
    """Nobody has to wait for its silence; when it is back it is as new."""
    async with telling(workshop, SCHEDULES) as part:
        began = (await seen(workshop.database, part)).started_at
    (member,) = await fleet(workshop.database)
    assert (member.is_live, member.left_at is not None) == (False, True)
    async with telling(workshop, SCHEDULES) as part:
        again = await seen(workshop.database, part)
        assert (again.name, again.left_at) == (member.name, None)
        assert again.started_at > began


async def test_silence_is_told_by_the_databases_clock(workshop: Workshop) -> None:
    """Fifteen seconds without a sign of life; a day later nobody remembers."""
    async with telling(workshop, SCHEDULES) as part:
        await seen(workshop.database, part)
    async with workshop.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.daemons SET left_at = NULL")
        await connection.execute(AGE, timedelta(minutes=-10))  # that clock was ahead, and has been set right
        (member,) = await members.list_members(connection)
        assert not member.is_live
        await connection.execute(AGE, timedelta(minutes=10, seconds=16))
        (member,) = await members.list_members(connection)
        assert not member.is_live
        assert not member.does(DaemonRole.SCHEDULES)
        await members.prune(connection, timedelta(days=1))
        assert await members.list_members(connection)
        await connection.execute(AGE, timedelta(days=1))
        await members.prune(connection, timedelta(days=1))
        assert await members.list_members(connection) == []


async def test_a_worker_that_has_lost_its_name_takes_no_jobs_for_the_moment(workshop: Workshop) -> None:
    """It lives, and does its other work; a daemon that takes the name meanwhile keeps it."""
    queue = workshop.parts.queue
    async with telling(workshop) as part:
        name = (await seen(workshop.database, part)).name
        queue.worker = None

        async def idle() -> Member | None:
            member = await seen(workshop.database, part)
            return member if member.takes_no_jobs_since is not None else None

        member: Member = await eventually(idle)
        assert not member.does(DaemonRole.WORKER)
        assert member.does(DaemonRole.SCHEDULES)
        queue.worker = name

        async def at_work() -> bool:
            return (await seen(workshop.database, part)).does(DaemonRole.WORKER)

        await eventually(at_work)


async def test_one_that_goes_on_by_another_name_is_not_gone_by_the_old_one(workshop: Workshop) -> None:
    """After a cut the server may keep the old name from it, for a connection of which it has not heard the end."""
    queue = workshop.parts.queue
    async with telling(workshop) as part:
        name = (await seen(workshop.database, part)).name
        queue.worker = WorkerName(f"{name}-2")

        async def told() -> bool:
            return part.member == f"{name}-2" and (await seen(workshop.database, part)).does(DaemonRole.WORKER)

        await eventually(told)
        left, present = await fleet(workshop.database)
        assert (left.name, left.left_at is not None, left.is_live) == (name, True, False)
        assert (present.name, present.is_live) == (f"{name}-2", True)


async def test_those_that_live_are_listed_before_those_that_are_gone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many names a day has seen, such as of containers."""
    monkeypatch.setattr(members, "MOST_MEMBERS", 2)
    for number in range(3):
        await join(workshop.database, f"a{number}", silent=timedelta(hours=1 + number))
    await join(workshop.database, "web1")
    assert [each.name for each in await fleet(workshop.database)] == ["a0", "web1"]


async def test_after_the_loss_of_its_connection_it_tells_again(workshop: Workshop) -> None:
    """By the same name, which the server has freed with the connection."""
    async with telling(workshop, SCHEDULES) as part:
        before = await seen(workshop.database, part)
        await workshop.database.cut()

        async def again() -> bool:
            return (await seen(workshop.database, part)).seen_at > before.seen_at + timedelta(seconds=0.5)

        await eventually(again, what="a sign of life after the loss")
        assert part.member == "web1-schedules"
