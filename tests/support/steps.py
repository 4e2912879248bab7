"""The steps of a daemon's work, as they are seen from outside, and a `kill -9` at any one of them.

A step is a statement that has changed rows of some tables and is not committed yet, or a request to Shopify: before it
takes effect, and, of one that changes something, after it when the answer is not sent yet.
"""

import asyncio
import os
import re
import select
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from daemon.sandbox.shopify import ShopifySandbox
from daemon.sandbox.shopify.sandbox import THROTTLED_ERROR
from daemon.sources.shopify.endpoint import SMALL_COST
from tests.support.process import DaemonProcess
from tests.support.site import eventually

BARRIER = 0x73746570  # the advisory lock that the test holds, and that a statement waits for at its step
OPERATION = re.compile(r"\b(query|mutation)\s+(\w+)")
REACHED_SECONDS = 15.0  # until the daemon must have come to a step

# What a statement is about stands in its connection's application_name while it waits: nothing else that it writes can
# be seen before its commit.
INSTALL = """
CREATE SCHEMA test;
CREATE SEQUENCE test.steps;
CREATE TABLE test.stop (number bigint, name text);
CREATE TABLE test.taken (number bigint, name text);
CREATE FUNCTION test.step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
    states text;
    step text;
BEGIN
    SELECT string_agg(DISTINCT coalesce(part ->> 'status', part ->> 'state', part ->> 'result', 'rows'), '+')
    INTO states FROM (SELECT to_jsonb(touched) AS part FROM touched) AS parts
    WHERE NOT part ? 'type' OR part ->> 'type' = ANY ('{{{job_types}}}');
    IF states IS NULL THEN
        RETURN NULL;
    END IF;
    -- What a job says of its waits is no step: how often it says something depends on the pace of the machine.
    IF TG_TABLE_NAME = 'background_jobs' AND TG_OP = 'UPDATE' THEN
        PERFORM FROM touched JOIN before USING (id)
        WHERE (touched.status, touched.processed, touched.metadata -> 'pages')
              IS DISTINCT FROM (before.status, before.processed, before.metadata -> 'pages')
           OR ({says_much} AND (touched.checkpoint IS DISTINCT FROM before.checkpoint
                  OR touched.metadata -> 'waiting' IS NOT DISTINCT FROM before.metadata -> 'waiting'));
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    reached := nextval('test.steps');
    step := format('%s %s %s', TG_OP, TG_TABLE_NAME, states);
    PERFORM FROM test.stop WHERE CASE WHEN name IS NULL THEN number = reached
        ELSE name = step AND number = 1 + (SELECT count(*) FROM test.taken WHERE taken.name = step) END;
    IF FOUND THEN
        PERFORM set_config('application_name', step, false);
        PERFORM pg_advisory_xact_lock({barrier});
    END IF;
    INSERT INTO test.taken VALUES (reached, step);
    RETURN NULL;
END $$;
DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY '{{{tables}}}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER step_insert AFTER INSERT ON dongbo.%I REFERENCING NEW TABLE AS touched
                        FOR EACH STATEMENT EXECUTE FUNCTION test.step()', target);
        EXECUTE format('CREATE TRIGGER step_update AFTER UPDATE ON dongbo.%I
                        REFERENCING OLD TABLE AS before NEW TABLE AS touched
                        FOR EACH STATEMENT EXECUTE FUNCTION test.step()', target);
        EXECUTE format('CREATE TRIGGER step_delete AFTER DELETE ON dongbo.%I REFERENCING OLD TABLE AS touched
                        FOR EACH STATEMENT EXECUTE FUNCTION test.step()', target);
    END LOOP;
END $$;
"""

SALE_TABLES = ("sale_campaigns", "sale_items", "sale_writes", "background_jobs")
SALE_JOBS = ("APPLY_SALE", "REVERT_SALE")

COUNT_ANEW = "SELECT setval('test.steps', 1, false)"
FORGET_TAKEN = "TRUNCATE test.taken, test.stop"
LIST_TAKEN = "SELECT number, name FROM test.taken ORDER BY number"
STOP_AT = "INSERT INTO test.stop VALUES ($1, $2)"
BLOCKED = f"""
SELECT pid, application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND objid = {BARRIER} AND NOT granted AND datname = current_database()
"""
LIFT = f"SELECT pg_advisory_unlock({BARRIER})"
DAEMON_GONE = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'test' AND backend_type = 'client backend'
"""


class Moment(StrEnum):
    """When the daemon is killed at a step."""

    UNCOMMITTED = "uncommitted"
    ARRIVED = "arrived"  # Shopify has the request and has done nothing yet
    UNANSWERED = "unanswered"  # Shopify has done what was asked for


@dataclass(frozen=True)
class Step:
    """The `number`-th statement, or request of its name (from 1), and what it is.

    A request that Shopify throttles is none: nothing comes of it, and it is sent again.
    """

    moment: Moment
    number: int
    name: str


class Steps:
    """Counts the steps of a daemon, or kills it at one.

    Args:
        connection: the test's own; nobody else uses it meanwhile.
        shopify: the shop that the daemon works on, in this process.
    """

    def __init__(self, connection: asyncpg.Connection, shopify: ShopifySandbox) -> None:
        self._connection = connection
        self._shopify = shopify
        self._execute = shopify._execute
        self._requests: Counter[str] = Counter()
        self._target: Step | None = None
        self._victim: DaemonProcess | None = None
        self._died = asyncio.Event()
        # Carries out the request of which the sender was killed when it had arrived.
        self.arrive_late: Callable[[], object] = lambda: None
        shopify._execute = self._carry_out  # type: ignore[method-assign]

    async def install(
        self, tables: Sequence[str] = SALE_TABLES, job_types: Sequence[str] = SALE_JOBS, *, says_much: bool = True
    ) -> None:
        """Let the database count what is done to these tables, and of jobs what is done to those of these types; unless
        the job `says_much`, only that it has got further is a step of it."""
        words = {"tables": ",".join(tables), "job_types": ",".join(job_types), "says_much": str(says_much).lower()}
        await self._connection.execute(INSTALL.format(barrier=BARRIER, **words))

    async def begin(self) -> None:
        """Count from here on."""
        await self._connection.execute(FORGET_TAKEN)
        await self._connection.execute(COUNT_ANEW)
        self._requests.clear()

    async def taken(self) -> list[Step]:
        """Every step since `begin` at which a daemon can be killed."""
        statements = await self._connection.fetch(LIST_TAKEN)
        requests = [(name, number) for name, count in self._requests.items() for number in range(1, count + 1)]
        return [
            *(Step(Moment.UNCOMMITTED, row["number"], row["name"]) for row in statements),
            *(Step(Moment.ARRIVED, number, name) for name, number in requests),
            *(Step(Moment.UNANSWERED, number, name) for name, number in requests if name.startswith("mutation")),
        ]

    @asynccontextmanager
    async def killing(self, process: DaemonProcess, step: Step, *, by_name: bool = False) -> AsyncIterator[None]:
        """Kill the daemon at a step to which leads what stands within, or what comes of it; at the end it is dead, and
        so is all that it had under way in the database. `by_name`: a statement, too, is the n-th of its name."""
        await self.begin()
        if step.moment is Moment.UNCOMMITTED:
            await self._connection.execute(f"SELECT pg_advisory_lock({BARRIER})")
            await self._connection.execute(STOP_AT, step.number, step.name if by_name else None)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._kill_blocked(process, step), name="kill")
                yield
        else:
            self._target, self._victim = step, process
            self._died.clear()
            yield
            async with asyncio.timeout(REACHED_SECONDS):
                await self._died.wait()
        await process.exited()
        await eventually(lambda: self._connection.fetchval(DAEMON_GONE), interval=0.005, what="the end of its sessions")

    async def _kill_blocked(self, process: DaemonProcess, step: Step) -> None:
        await eventually(lambda: self._connection.fetchrow(BLOCKED), REACHED_SECONDS, interval=0.005, what=f"{step}")
        # The statement takes its name and then waits: who is first seen waiting may have been read before it had one.
        blocked = await self._connection.fetchrow(BLOCKED)
        assert blocked is not None
        assert blocked["name"] == step.name, f"each run takes the same steps: {blocked['name']} is not {step}"
        await process.kill()
        # Else it would go on without its client, and commit where the statement is a transaction of its own. Before the
        # table is emptied: the statement has read it, and waits for us.
        await self._connection.execute("SELECT pg_terminate_backend($1)", blocked["pid"])
        await self._connection.execute("TRUNCATE test.stop")
        await self._connection.execute(LIFT)

    def _carry_out(
        self, query: str, operation_name: str | None, variables: Mapping[str, Any], scopes: frozenset[str]
    ) -> dict[str, Any]:
        found = OPERATION.search(query)
        name = " ".join(found.groups()) if found else ""
        target = self._target
        is_meant = target is not None and (target.name, target.number) == (name, self._requests[name] + 1)
        if is_meant and target.moment is Moment.ARRIVED:
            self._target = None
            self.arrive_late = lambda: self._let_in(query, operation_name, variables, scopes)
            self._kill_now()
            return {"errors": "nobody reads this"}
        answer = self._execute(query, operation_name, variables, scopes)
        if answer.get("errors") == [THROTTLED_ERROR]:
            return answer
        self._requests[name] += 1
        if is_meant:
            self._target = None
            self._kill_now()
        return answer

    def _let_in(self, *request: Any) -> None:
        self._shopify.bucket.refund(SMALL_COST)  # it has its points from when it came
        self._execute(*request)

    def _kill_now(self) -> None:
        """Within the request: the daemon is dead before anything else happens in this process."""
        assert self._victim is not None
        death = os.pidfd_open(self._victim.pid)
        try:
            self._victim.send(signal.SIGKILL)
            select.select([death], [], [])
        finally:
            os.close(death)
        self._died.set()
