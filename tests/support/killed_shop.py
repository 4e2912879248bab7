"""A shop with one sale after the other whose daemon is killed: every variant has exactly the price that it should have,
none was written twice, and the journal tells it all.

At the start and the end of a sale the points are used up, so that calls wait for them.
"""

import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import aiohttp
import asyncpg

from daemon.config import SaleSettings
from daemon.sales.pricing import sale_prices
from daemon.sources.shopify.models import PricePair
from tests.support.process import RunningDaemon
from tests.support.sale_queue import prices_of, use_up_points, waiting_calls
from tests.support.site import Site, eventually
from tests.support.steps import Step, Steps

PERSONS = PricePair(Decimal(77_000), None)
RECOVERY_SECONDS = 10.0

STATE = "SELECT state FROM dongbo.sale_campaigns WHERE name = $1"
IS_AT_REST = """
SELECT state = $2 AND NOT EXISTS (
    SELECT FROM dongbo.background_jobs WHERE type IN ('APPLY_SALE', 'REVERT_SALE') AND status IN ('PENDING', 'RUNNING')
)
FROM dongbo.sale_campaigns WHERE name = $1
"""
IS_PREPARED = """
SELECT prepared_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM dongbo.background_jobs WHERE type = 'PREPARE_SALE' AND status IN ('PENDING', 'RUNNING')
)
FROM dongbo.sale_campaigns WHERE name = $1
"""
LET_COME = "UPDATE dongbo.sale_campaigns SET {edge} = clock_timestamp() + $2::interval WHERE name = $1"
VERIFY_AT = "SELECT verify_at FROM dongbo.sale_campaigns WHERE name = $1"
VERIFY_NOW = "UPDATE dongbo.sale_campaigns SET verify_at = clock_timestamp() WHERE name = $1"
FORGET_VERIFICATION = "UPDATE dongbo.sale_campaigns SET verify_at = NULL WHERE name = $1"
SITUATION = """
SELECT campaign.state, notice, job.type, job.status, job.error
FROM dongbo.sale_campaigns AS campaign LEFT JOIN dongbo.background_jobs AS job ON job.created_at >= campaign.created_at
WHERE campaign.name = $1
"""
HISTORY = """
SELECT event.state FROM dongbo.sale_events AS event JOIN dongbo.sale_campaigns AS campaign ON campaign.id = campaign_id
WHERE campaign.name = $1 ORDER BY event.id
"""
ITEMS = """
SELECT item.* FROM dongbo.sale_items AS item JOIN dongbo.sale_campaigns AS campaign ON campaign.id = campaign_id
WHERE campaign.name = $1
"""
WRITES = """
SELECT write.* FROM dongbo.sale_writes AS write JOIN dongbo.sale_campaigns AS campaign ON campaign.id = campaign_id
WHERE campaign.name = $1 ORDER BY write.id
"""
JOBS = """
SELECT status, total, processed, successful, created, updated, skipped, failed FROM dongbo.background_jobs
WHERE type = $1 AND created_at > (SELECT created_at FROM dongbo.sale_campaigns WHERE name = $2)
"""


@dataclass(frozen=True)
class Sale:
    """A sale that is to be put on and taken back; `began` is the length of the shop's journal before it."""

    definition: SaleSettings
    prices: dict[int, PricePair]  # of the variants that it is for
    began: int

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name


class KilledShop:
    """A shop with one sale after the other, whose daemon is killed again and again.

    Args:
        targeted: of how many products the prices are changed; none is changed of the rest.
    """

    def __init__(self, site: Site, connection: asyncpg.Connection, targeted: int) -> None:
        self._site = site
        self._connection = connection
        self._life = AsyncExitStack()
        self._daemon: RunningDaemon
        self._shopify = site.sandbox.shopify
        self._targets = sorted(self._shopify.products)[:targeted]
        self._before = self._prices()
        self._sales = 0
        self.waiting: list[int] = []  # how many calls waited at each kill
        self.steps = Steps(connection, self._shopify)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._life.aclose()

    async def start(self) -> None:
        """Start a daemon, in place of the one that was killed."""
        await self._life.aclose()
        self._daemon = await self._life.enter_async_context(self._site.daemon())

    async def stop(self) -> None:
        """End it in order."""
        assert await self._daemon.process.terminate() == 0
        await self._life.aclose()

    async def prepare(self) -> None:
        """Learn what the shop has."""
        await self.steps.install()
        await self.start()
        job = await self._daemon.api.submit("PULL_SHOPIFY_PRODUCTS", full=True)
        await self._daemon.api.completed(job["id"])

    async def sale_by_a_person(self, applying: Step | None = None, reverting: Step | None = None) -> list[list[Step]]:
        """A sale that a person starts and ends: the daemon is killed at a step of applying, its successor at one of
        reverting. The steps of both, where nobody is killed."""
        sale = self._new_sale()
        await self._lead_to(applying, lambda: self._create(sale))
        if await self._state(sale) is None:
            await self._create(sale)
        await self._check_on_sale(sale)
        to_apply = await self.steps.taken()
        await self._lead_to(reverting, lambda: self._revert(sale))
        if await self._state(sale) == "ACTIVE":
            await self._revert(sale)
        await self._check_taken_back(sale)
        return [to_apply, await self.steps.taken()]

    async def change_while_dead(self, reverting: Step) -> None:
        """A sale whose daemon is killed while it takes the prices back; before the next one starts, people set prices
        of variants that wait: some that are theirs alone, and others that are what the sale goes back to."""
        sale = self._new_sale()
        await self._create(sale)
        await self._check_on_sale(sale)
        theirs: dict[int, PricePair] = {}

        def set_prices() -> None:
            waiting = [number for number in sale.prices if self._prices()[number] == sale.prices[number]]
            theirs.update(dict.fromkeys(waiting[::3], PERSONS) | {one: self._before[one] for one in waiting[1::3]})
            for number, price in theirs.items():
                self._shopify.change_price(number, *price)

        await self._lead_to(reverting, lambda: self._revert(sale), set_prices)
        foreign = {number for number, price in theirs.items() if price == PERSONS}
        assert foreign
        await self._reaches(sale, "NEEDS_ATTENTION")
        assert self._prices() == self._before | theirs
        items = {row["variant_id"]: row["state"] for row in await self._connection.fetch(ITEMS, sale.name)}
        assert {number for number, state in items.items() if state == "DRIFTED"} == foreign

    async def call_after_the_end(self, applying: Step) -> None:
        """A sale of which one call is carried out when it is over, long after its sender was killed."""
        sale = self._new_sale()
        await self._lead_to(applying, lambda: self._create(sale))
        await self._check_on_sale(sale)
        await self._revert(sale)
        await self._reaches(sale, "COMPLETED")
        assert self._prices() == self._before
        assert await self._connection.fetchval(VERIFY_AT, sale.name), "a call went without an answer"
        self.steps.arrive_late()
        assert self._prices() != self._before
        await self._connection.execute(VERIFY_NOW, sale.name)
        self._daemon.process.send(signal.SIGHUP)
        await self._daemon.process.logged("sale_call_came_late")
        await self._reaches(sale, "COMPLETED")
        assert self._prices() == self._before

    async def sale_by_the_clock(
        self, preparing: Step | None = None, starting: Step | None = None, ending: Step | None = None
    ) -> list[list[Step]]:
        """A sale that is prepared, started and ended by the clock: the same with steps of the three."""
        sale = self._new_sale(starts=datetime.now(UTC) + timedelta(hours=1))
        await self._create(sale)
        await self._lead_to(preparing, lambda: self._let_come("starts_at", sale, timedelta(seconds=60)))
        await eventually(lambda: self._connection.fetchval(IS_PREPARED, sale.name), what="its preparation")
        to_prepare = await self.steps.taken()
        await self._lead_to(starting, lambda: self._let_come("starts_at", sale))
        await self._check_on_sale(sale)
        to_start = await self.steps.taken()
        await self._lead_to(ending, lambda: self._let_come("ends_at", sale))
        await self._check_taken_back(sale)
        return [to_prepare, to_start, await self.steps.taken()]

    async def _lead_to(
        self, step: Step | None, act: Callable[[], Awaitable[None]], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Do something that leads to a step, and start the daemon again that was killed there."""
        use_up_points(self._shopify)
        if step is None:
            await self.steps.begin()
            await act()
            return
        async with self.steps.killing(self._daemon.process, step):
            with suppress(aiohttp.ClientError):  # killed before it could answer
                await act()
        self.waiting.append(await waiting_calls(self._connection, self._shopify))
        meanwhile()
        await self.start()

    async def _let_come(self, edge: str, sale: Sale, distance: timedelta = timedelta(0)) -> None:
        """Let a sale's start or end come sooner, and the daemon look at its sales."""
        await self._without_steps(LET_COME.format(edge=edge), sale.name, distance)
        self._daemon.process.send(signal.SIGHUP)

    async def _without_steps(self, sql: str, *arguments: Any) -> None:
        async with self._site.connection() as another:
            await another.execute("SET session_replication_role = replica")  # this is no step
            await another.execute(sql, *arguments)

    def _new_sale(self, **times: datetime) -> Sale:
        """Each has another discount: no price is right by chance."""
        self._sales += 1
        percent, targets = 30 + self._sales, {"products": self._targets}
        definition = SaleSettings.model_validate(
            {"name": f"sale-{self._sales}", "store": "main", "percent": percent, "targets": targets, **times}
        )
        prices = {
            variant.id: sale
            for product_id in self._targets
            for variant in self._shopify.products[product_id].variants
            if isinstance(sale := sale_prices(definition, self._before[variant.id]), PricePair)
        }
        return Sale(definition, prices, len(self._shopify.writes))

    async def _create(self, sale: Sale) -> None:
        await self._daemon.api.post("/api/sales", sale.definition.to_json(), 201)

    async def _revert(self, sale: Sale) -> None:
        await self._daemon.api.post(f"/api/sales/{sale.name}/revert")

    async def _state(self, sale: Sale) -> Any:
        return await self._connection.fetchval(STATE, sale.name)

    async def _reaches(self, sale: Sale, state: str) -> None:
        try:
            await eventually(lambda: self._connection.fetchval(IS_AT_REST, sale.name, state), RECOVERY_SECONDS)
        except AssertionError:
            situation = [dict(row) for row in await self._connection.fetch(SITUATION, sale.name)]
            raise AssertionError(f"{sale.name} is not {state} and at rest: {situation}") from None

    async def _check_on_sale(self, sale: Sale) -> None:
        await self._reaches(sale, "ACTIVE")
        assert self._prices() == self._before | sale.prices
        assert self._effects(sale) == {number: [(self._before[number], new)] for number, new in sale.prices.items()}
        await self._check_items(sale, "APPLIED")
        await self._check_job("APPLY_SALE", sale)
        await self._check_journal(sale, ["apply"])

    async def _check_taken_back(self, sale: Sale) -> None:
        await self._reaches(sale, "COMPLETED")
        assert self._prices() == self._before
        assert self._effects(sale) == {
            number: [(self._before[number], new), (new, self._before[number])] for number, new in sale.prices.items()
        }
        for item in await self._check_items(sale, "REVERTED"):
            assert item["verified_at"] >= item["closed_at"], dict(item)
        await self._check_job("REVERT_SALE", sale)
        await self._check_journal(sale, ["apply", "revert"])
        history = [row["state"] for row in await self._connection.fetch(HISTORY, sale.name)]
        assert history == ["DRAFT", "SCHEDULED", "APPLYING", "ACTIVE", "REVERTING", "COMPLETED"]
        await self._without_steps(FORGET_VERIFICATION, sale.name)  # a minute later it would take steps amid another's

    async def _check_items(self, sale: Sale, state: str) -> list[asyncpg.Record]:
        """The variants that the sale is for, all in this state; it passes over the rest."""
        items = [row for row in await self._connection.fetch(ITEMS, sale.name) if row["state"] != "SKIPPED"]
        assert {row["variant_id"]: row["state"] for row in items} == dict.fromkeys(sale.prices, state)
        return items

    async def _check_job(self, job_type: str, sale: Sale) -> None:
        """One job did it all, and counts each variant once."""
        (job,) = await self._connection.fetch(JOBS, job_type, sale.name)
        count = len(sale.prices)
        assert dict(job) == {
            "status": "COMPLETED",
            "total": count,
            "processed": count,
            "successful": count,
            "created": 0,
            "updated": count,
            "skipped": 0,
            "failed": 0,
        }

    async def _check_journal(self, sale: Sale, actions: list[str]) -> None:
        """Each variant has one write of each kind that took effect, from the right price to the right one; what else
        was meant is known to have come to nothing."""
        rows = await self._connection.fetch(WRITES, sale.name)
        assert {row["result"] for row in rows} <= {"applied", "unknown"}
        of_variant = defaultdict(list)
        for row in rows:
            before, on_sale = self._before[row["variant_id"]], sale.prices[row["variant_id"]]
            change = (
                PricePair(row["old_price"], row["old_compare_at"]),
                PricePair(row["new_price"], row["new_compare_at"]),
            )
            assert change == ((before, on_sale) if row["action"] == "apply" else (on_sale, before)), dict(row)
            if row["result"] == "applied":
                of_variant[row["variant_id"]].append(row["action"])
        assert of_variant == dict.fromkeys(sale.prices, actions)

    def _prices(self) -> dict[int, PricePair]:
        return prices_of(self._shopify)

    def _effects(self, sale: Sale) -> dict[int, list[tuple[PricePair, PricePair]]]:
        """What each variant changed from and to during a sale, by the shop's own journal."""
        fields: dict[int, dict[str, list[tuple[Any, Any]]]] = defaultdict(lambda: defaultdict(list))
        for write in self._shopify.writes[sale.began :]:
            kind, number = write.subject
            fields[int(number)][str(kind)].append((write.before, write.after))
        return {number: list(_changes(of["price"], of["compare_at_price"])) for number, of in fields.items()}


def _changes(
    prices: list[tuple[Any, Any]], compare_ats: list[tuple[Any, Any]]
) -> Iterator[tuple[PricePair, PricePair]]:
    """A write sets both; the journal has them one by one."""
    for (old, new), (old_compare_at, new_compare_at) in zip(prices, compare_ats, strict=True):
        yield PricePair(old, old_compare_at), PricePair(new, new_compare_at)
