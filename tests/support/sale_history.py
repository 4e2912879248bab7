"""Histories of a shop with sales: what people, Shopify, Nhanh.vn, the clock and two daemons do, in any order."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
import structlog

from daemon.api.sales import CampaignState, Decision, ItemState
from daemon.bootstrap import Daemon
from daemon.config import SaleSelection, SaleSettings
from daemon.database.pool import Connection
from daemon.errors import DongboError, LiveJobExists
from daemon.ids import JobId
from daemon.jobs import runner
from daemon.jobs.context import JobContext
from daemon.jobs.model import JobRequest, JobStatus, JobTrigger
from daemon.jobs.queue import worker as queue_worker
from daemon.jobs.types import JobType
from daemon.sales import apply, campaigns, items, preparation, revert
from daemon.sales.file import reconcile
from daemon.sales.model import TRANSITIONS, Campaign, Item
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.state import KEEP
from daemon.schedules import pauses
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.writes import PriceOutcome, WriteError
from daemon.tasks import prepare_sale
from tests.support.mortal_daemon import Machine, MachineDied
from tests.support.sale_model import (
    HELD,
    WATCH,
    WATCHED,
    Actor,
    Decided,
    Deleted,
    Event,
    Look,
    Price,
    PriceSet,
    judge,
    read_watch,
)
from tests.support.synced_shop import MAP_BY_SKU
from tests.support.workshop import STORE, in_own_task

T = TypeVar("T")

CALLS = ("set_prices", "present_prices", "product_versions", "collection_products")
SALE_JOBS = (JobType.PREPARE_SALE, JobType.APPLY_SALE, JobType.REVERT_SALE)
PATIENCE = 60.0  # seconds for all jobs together to come to an end
HOST: ContextVar[str] = ContextVar("HOST", default="first")

LIVE = "SELECT id FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING') ORDER BY id"
CAMPAIGNS = "SELECT id FROM dongbo.sale_campaigns ORDER BY created_at"
AGE_COLLECTIONS = "UPDATE dongbo.shopify_collections SET read_at = read_at - $1::interval"
MAPPED = "SELECT variant_id, nhanh_id FROM dongbo.product_mappings WHERE retired_at IS NULL"
OVERLAPS = """
SELECT one.variant_id FROM dongbo.sale_items AS one
JOIN dongbo.sale_items AS other USING (store, variant_id)
JOIN dongbo.sale_campaigns AS its ON its.id = one.campaign_id
JOIN dongbo.sale_campaigns AS others ON others.id = other.campaign_id
WHERE one.campaign_id < other.campaign_id AND one.state = ANY ($1) AND other.state = ANY ($1)
  AND NOT (one.held = 'empty' OR other.held = 'empty')
  AND tstzrange(its.starts_at, its.ends_at) && tstzrange(others.starts_at, others.ends_at)
"""
WRITES = "SELECT * FROM dongbo.sale_writes ORDER BY id"
PUSHED = "SELECT owner_id, kind, new_value FROM dongbo.pushes"
JOBS = """
SELECT job.*, (SELECT count(*) FROM dongbo.job_failures WHERE job_id = job.id) AS letters
FROM dongbo.background_jobs AS job WHERE type = ANY ($1)
"""
EVENTS = "SELECT campaign_id, state FROM dongbo.sale_events ORDER BY id"
MISPLACED = f"""
SELECT item.campaign_id, item.variant_id, item.state FROM dongbo.sale_items AS item
JOIN dongbo.sale_campaigns AS campaign ON campaign.id = item.campaign_id
WHERE item.state = 'APPLYING' OR item.state = 'REVERTING'
   OR item.state = 'PLANNED' AND campaign.state = 'ACTIVE' AND NOT EXISTS (
      SELECT FROM dongbo.sale_items AS other WHERE other.variant_id = item.variant_id
      AND other.campaign_id <> item.campaign_id AND other.state IN {tuple(sorted(HELD))})
   OR item.state IN ('PLANNED', 'APPLIED')
      AND campaign.state IN ('COMPLETED', 'CANCELLED', 'FAILED', 'NEEDS_ATTENTION')
"""


class Clock:
    """The time that the daemons go by: always ahead of the real one, for PostgreSQL keeps to that."""

    def __init__(self) -> None:
        self.ahead = timedelta(hours=1)

    def now(self) -> datetime:
        """The present time, aware UTC."""
        return datetime.now(UTC) + self.ahead


@dataclass
class Ambush:
    """What happens at the n-th passing of some places in the program from now on, before them or behind them."""

    places: tuple[str, ...]
    times: int
    is_after: bool
    act: str
    seed: int


@dataclass
class Call:
    """A call that sets prices."""

    actor: Actor
    product_id: int
    changes: Sequence[Any]
    is_refused: bool = False  # whether Shopify shall refuse it


class World:
    """One shop, two daemons on one database, and all that happens to them."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.clock = Clock()
        self.events: list[Event] = []
        self.ambushes: list[Ambush] = []
        self.calls: list[Call] = []
        self.mislaid: list[Call] = []
        self.sprung: list[str] = []
        self.log: list[str] = []
        self.members: dict[str, tuple[int, ...]] = {}  # of collections, as they were last told
        self.snapshot: dict[int, tuple[Any, list[tuple[int, str | None]]]] | None = None
        self.rules: dict[UUID, list[SaleSettings]] = {}
        self.first_prices: dict[int, Price] = {}
        self.nhanh_ever: dict[int, set[Price]] = {}
        self.file: dict[str, SaleSettings] = {}
        self.acting = Actor.LATE
        self.strangers = 0
        self.names = 0
        self.quiet_since = self.clock.now()  # the time of the first of those looks at the clock that found nothing
        self._shopify_time = datetime.min.replace(tzinfo=UTC)
        self._stack = AsyncExitStack()
        self.machines: list[Machine] = []
        self.sandbox: Sandbox

    async def open(self) -> None:
        """Start it all, with a shop that is mirrored and mapped."""
        settings = SandboxSettings(products=6, customers=1, limits=False, quirks=False)
        settings.faults.slow_seconds = 0.05
        self.sandbox = await self._stack.enter_async_context(in_own_task(running_sandbox(settings)))
        self.shopify = self.sandbox.shopify
        self.shopify._now = self._tick
        self.database = await self._stack.enter_async_context(asyncpg.create_pool(self.database_url, min_size=1))
        await self.database.execute(WATCH)
        self._listen()
        synced = {"locations": {}, "large_price_change": 1.0}
        for _ in range(2):
            machine = Machine(self.database_url, self.sandbox, synced)
            self._stack.push_async_callback(machine.stop)
            self.machines.append(machine)
        await asyncio.gather(*map(self._start, self.machines))
        await self.pull()
        await self.run_job(JobType.PULL_NHANH_PRODUCTS, full=True)
        await self.database.fetch(MAP_BY_SKU, STORE)
        self.pairs = {row["variant_id"]: row["nhanh_id"] for row in await self.database.fetch(MAPPED)}
        for variant_id in self.pairs:
            self._remember_nhanh(variant_id)
        assert self.snapshot
        assert len(self.pairs) > 15

    async def close(self) -> None:
        """Stop it all."""
        await self._stack.aclose()

    def versions_seen(self, versions: Mapping[int, datetime]) -> None:
        """A campaign that starts is told which products have changed: with that, it can know all their prices."""
        for variant in self.shopify.variants.values():
            product = self.shopify.products[variant.product_id]
            if versions.get(product.id) == product.updated_at:
                price = (variant.price, variant.compare_at_price)
                self.events.append(Look(datetime.now(UTC), variant.id, price, Actor.APPLY))

    def _tick(self) -> datetime:
        """Shopify's time, in whole seconds as it tells them, each only once: how changes are told apart."""
        self._shopify_time = max(self._shopify_time + timedelta(seconds=1), datetime.now(UTC).replace(microsecond=0))
        return self._shopify_time

    def _listen(self) -> None:
        for variant in self.shopify.variants.values():
            self.first_prices[variant.id] = (variant.price, variant.compare_at_price)
        change_price = self.shopify.change_price

        def noted(variant_id: int, price: Decimal, compare_at_price: Decimal | None = KEEP) -> None:
            change_price(variant_id, price, compare_at_price)
            variant = self.shopify.variants[variant_id]
            now = (variant.price, variant.compare_at_price)
            actor = self.acting if self.acting is Actor.PERSON else self._sender(variant_id, now)
            self.events.append(PriceSet(datetime.now(UTC), variant_id, now, actor))

        self.shopify.change_price = noted  # type: ignore[method-assign]

    def _sender(self, variant_id: int, price: Price) -> Actor:
        for call in reversed(self.calls):
            for change in call.changes:
                wanted = (change.price, change.compare_at_price)
                if change.variant_id == variant_id and all(
                    one == other or not isinstance(one, Decimal | None)
                    for one, other in zip(wanted, price, strict=True)
                ):
                    return call.actor
        raise AssertionError(f"nobody has sent {price} for {variant_id}")

    def _remember_nhanh(self, variant_id: int) -> None:
        product = self.sandbox.nhanh.products[self.pairs[variant_id]]
        old = product.old_price
        compare_at = old if old is not None and old > product.price else None
        self.nhanh_ever.setdefault(variant_id, set()).add((product.price, compare_at))

    # Daemons

    async def _start(self, machine: Machine) -> None:
        HOST.set(f"daemon-{self.machines.index(machine)}")
        await machine.start()
        machine.parts.sales.clock = self.clock.now
        machine.parts.sale_clock._clock = self.clock.now

    async def alive(self, which: int) -> Daemon:
        """A daemon, started anew if it is dead."""
        machine = self.machines[which]
        if machine.died.is_set():
            await machine.stop()
            await asyncio.create_task(self._start(machine))
        return machine.parts

    async def ask(self, which: int, question: Callable[[Daemon], Awaitable[T]]) -> T | None:
        """What a daemon answers; None if it refuses, or dies of it."""
        parts = await self.alive(which)
        try:
            return await self.machines[which].unless_dead(question(parts))
        except MachineDied:
            self.log.append("it died of it")
        except DongboError as error:
            self.log.append(f"refused: {error}")
        return None

    async def sweep(self, which: int) -> None:
        """A daemon's clock looks what is due."""
        await self.ask(which, lambda parts: parts.sale_clock.sweep())

    async def wait_for_jobs(self) -> None:
        """All live jobs come to their ends, on daemons that live."""
        async with asyncio.timeout(PATIENCE):
            while rows := await self.database.fetch(LIVE):
                for which in range(2):
                    await self.alive(which)
                for row in rows:
                    await self.ask(0, partial(_ended, job_id=JobId(row["id"])))

    async def run_job(self, job_type: JobType, **params: Any) -> None:
        """Ask for a job and wait for all that are live."""
        await self.submit(job_type, **params)
        await self.wait_for_jobs()

    async def submit(self, job_type: JobType, which: int = 0, **params: Any) -> None:
        """Ask for a job, unless one is live."""
        request = JobRequest(job_type, STORE, JobTrigger.API, params)
        try:
            await self.ask(which, lambda parts: parts.jobs.submit(request))
        except LiveJobExists:
            return

    async def settle(self) -> None:
        """The clock is looked at until nothing is left to do."""
        quiet = 0
        for _ in range(60):
            if quiet == 0:
                self.quiet_since = self.clock.now()
            await asyncio.gather(self.sweep(0), self.sweep(1))
            busy = await self.database.fetch(LIVE)
            await self.wait_for_jobs()
            quiet = 0 if busy else quiet + 1
            if quiet == 2:
                return
        raise AssertionError("there is always something left to do")

    # What people, Shopify and Nhanh.vn do

    async def pull(self) -> None:
        """Mirror Shopify's products."""
        revision = self.shopify.revision
        await self.run_job(JobType.PULL_SHOPIFY_PRODUCTS, full=True)
        last = await self.database.fetchval(
            "SELECT status FROM dongbo.background_jobs WHERE type = 'PULL_SHOPIFY_PRODUCTS' ORDER BY id DESC LIMIT 1"
        )
        if last == JobStatus.COMPLETED and self.shopify.revision == revision:
            self.snapshot = {
                product.id: (replace(product, variants=[]), [(one.id, one.sku) for one in product.variants])
                for product in self.shopify.products.values()
            }
        else:
            self.snapshot = None

    def foreign(self, variant_id: int, *, kind: int = 0) -> None:
        """Somebody sets another price, one that nobody else has thought of; or one that was there before."""
        variant = self.shopify.variants.get(variant_id)
        if variant is None:
            return
        self.strangers += 1
        price: Price = (Decimal(200_000 + 1_000 * kind + self.strangers), [None, Decimal(900_000)][kind % 2])
        self.acting = Actor.PERSON
        self.shopify.change_price(variant.id, *price)
        self.acting = Actor.LATE

    def delete(self, variant_id: int) -> None:
        """Somebody deletes a variant."""
        if variant_id in self.shopify.variants and len(self.shopify.variants) > 8:
            self.shopify.delete_variant(variant_id)
            self.events.append(Deleted(datetime.now(UTC), variant_id))

    def add_variant(self, model_id: int) -> None:
        """Somebody adds a variant to a product."""
        model = self.shopify.variants.get(model_id)
        if model is None:
            return
        variant = replace(
            model,
            id=max(*self.shopify.variants, *self.first_prices) + 32_768,
            inventory_item_id=max(self.shopify.inventory_items) + 32_768,
            sku=f"NEW-{len(self.first_prices)}",
            price=Decimal(300_000),
            compare_at_price=None,
            levels=[],
            inactive_levels=[],
        )
        self.first_prices[variant.id] = (variant.price, variant.compare_at_price)
        self.shopify.add_variant(variant)

    def change_nhanh(self, variant_id: int, percent: int) -> None:
        """Another price at Nhanh.vn."""
        nhanh_id = self.pairs.get(variant_id)
        if nhanh_id is not None:
            self.sandbox.nhanh.change_price(nhanh_id, Decimal(500_000 * percent // 100))
            self._remember_nhanh(variant_id)

    def calm(self) -> None:
        """No more faults."""
        for fault in Fault:
            setattr(self.sandbox.faults, fault.value, 0.0)

    # Campaigns

    async def campaigns(self) -> list[Campaign]:
        """All of them, by age."""
        found = []
        async with self.database.acquire() as connection:
            for row in await connection.fetch(CAMPAIGNS):
                campaign = await campaigns.get(connection, row["id"])
                if campaign is not None:
                    found.append(campaign)
        for campaign in found:
            known = self.rules.setdefault(UUID(int=campaign.id.int), [])
            if campaign.definition not in known:
                known.append(campaign.definition)
        return found

    async def drifted(self, campaign: Campaign) -> list[Item]:
        """What a person is asked about."""
        async with self.database.acquire() as connection:
            return await items.list_items(connection, campaign.id, [ItemState.DRIFTED])

    def define(self, **settings: Any) -> SaleSettings:
        """A definition with times relative to the present one."""
        self.names += 1
        starts, lasts = settings.pop("starts"), settings.pop("lasts")
        now = self.clock.now()
        begin = None if starts is None else now + timedelta(seconds=starts)
        end = None if lasts is None else (begin or now) + timedelta(seconds=lasts)
        base = {"name": f"sale-{self.names}", "store": STORE, "starts": begin, "ends": end}
        return SaleSettings.model_validate(base | settings)

    async def create(self, which: int, definition: SaleSettings, *, is_draft: bool) -> None:
        """Create a campaign, and compare what it is planned for."""
        was_quiet = not self.ambushes and not await self.database.fetch(LIVE)
        made = await self.ask(which, lambda parts: parts.sales.create(definition, "api", is_draft=is_draft))
        await self.campaigns()
        if made is None or is_draft or not was_quiet or self.snapshot is None:
            return
        wanted = self.targets(definition)
        planned = {
            row["variant_id"]: row["state"]
            for row in await self.database.fetch(
                "SELECT variant_id, state FROM dongbo.sale_items WHERE campaign_id = $1", made.id
            )
        }
        if made.starts_at is not None:  # one that starts now may have been prepared anew already
            assert planned.keys() == wanted, (definition.targets, planned.keys() ^ wanted)

    def targets(self, definition: SaleSettings) -> set[int]:
        """The variants that a definition is for, in the shop as it was last pulled."""
        assert self.snapshot is not None
        return {
            variant_id
            for product, variants in self.snapshot.values()
            for variant_id, sku in variants
            if (definition.targets.all or self._is_chosen(definition.targets, product, sku))
            and not self._is_chosen(definition.excludes, product, sku)
        }

    def _is_chosen(self, selection: SaleSelection, product: Any, sku: str | None) -> bool:
        return (
            product.id in selection.products
            or product.product_type.lower() in [one.lower() for one in selection.product_types]
            or product.vendor.lower() in [one.lower() for one in selection.vendors]
            or bool({tag.lower() for tag in product.tags} & {one.lower() for one in selection.tags})
            or (sku is not None and sku.lower() in [one.lower() for one in selection.skus])
            or any(product.id in self.members.get(one, ()) for one in selection.collections)
        )

    async def decide(self, which: int, campaign: Campaign, decision: Decision | None, chosen: int | None) -> None:
        """A person looks at the list, and decides."""
        drifted = await self.drifted(campaign)
        if chosen is not None and drifted:
            drifted = [drifted[chosen % len(drifted)]]
        ids = None if chosen is None else [item.variant_id for item in drifted]
        if decision is not None:
            self.events += [
                Decided(
                    datetime.now(UTC), item.variant_id, UUID(int=campaign.id.int), decision is Decision.KEEP, item.found
                )
                for item in drifted
                if item.found is not None
            ]
        await self.ask(which, lambda parts: parts.sales.resume(campaign, decision, ids if decision else None))

    async def reload(self, which: int) -> None:
        """A daemon takes over what the file says by now."""
        wanted = list(self.file.values())
        await self.ask(which, lambda parts: reconcile(parts.database, parts.sales, [STORE], wanted))
        await self.campaigns()

    # Ambushes

    async def passing(self, place: str, *, is_after: bool, machine: Machine | None, call: Call | None = None) -> None:
        """The program comes by a place: whoever lies in wait for it strikes."""
        for ambush in list(self.ambushes):
            if place not in ambush.places or is_after is not ambush.is_after:
                continue
            ambush.times -= 1
            if ambush.times <= 0:
                self.ambushes.remove(ambush)
                self.sprung.append(f"{ambush.act} {'after' if is_after else 'before'} {place}")
                await self._strike(ambush, machine, call)

    async def _strike(self, ambush: Ambush, machine: Machine | None, call: Call | None) -> None:
        chance = random.Random(ambush.seed)
        variants = [one.variant_id for one in call.changes] if call else sorted(self.shopify.variants)
        match ambush.act:
            case "die" | "mislay":
                if ambush.act == "mislay" and call is not None and not ambush.is_after:
                    self.mislaid.append(call)
                if machine is not None:
                    machine.die()
                    raise asyncio.CancelledError("the daemon is dead")
            case "foreign":
                for variant_id in chance.sample(variants, min(2, len(variants))):
                    self.foreign(variant_id, kind=ambush.seed % 4)
            case "delete":
                self.delete(chance.choice(variants))
            case "deliver":
                await self.deliver()
            case "fault":
                faults = (Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF, Fault.ERROR_500, Fault.RATE_LIMITED)
                self.sandbox.faults.next(chance.choice(faults), path="graphql.json", times=chance.choice((1, 2)))
            case "refuse":
                if call is not None:
                    call.is_refused = True
            case "end" | "start" | "cancel":
                await self._command(ambush.act, chance)
            case "slow":
                await asyncio.sleep(chance.choice((0.1, 0.3, 0.6)))
            case "pull":
                await self.submit(JobType.PULL_SHOPIFY_PRODUCTS, chance.randrange(2), full=True)
            case "clock":
                await self.move_clock(chance.choice((1, 60, 3600)))
            case "sync":
                await self.submit(JobType.SYNC_PRODUCTS, chance.randrange(2))
            case "sweep":
                await self.sweep(chance.randrange(2))

    async def _command(self, act: str, chance: random.Random) -> None:
        """A person asks a daemon that lives for something."""
        open_ = [one for one in await self.campaigns() if not one.state.has_ended]
        which = [number for number in range(2) if not self.machines[number].died.is_set()]
        if open_ and which:
            await self.command(chance.choice(which), chance.choice(open_), act)

    async def command(self, which: int, campaign: Campaign, act: str) -> None:
        """A person starts, ends or cancels a campaign."""
        match act:
            case "start":
                await self.ask(which, lambda parts: parts.sales.start_now(campaign))
            case "end":
                await self.ask(which, lambda parts: parts.sales.end_now(campaign))
            case "cancel":
                await self.ask(which, lambda parts: parts.sales.cancel(campaign))

    async def move_clock(self, seconds: float) -> None:
        """Time passes."""
        step = timedelta(seconds=seconds)
        self.clock.ahead = max(self.clock.ahead + step, timedelta(minutes=10))
        if seconds > 0:
            await self.database.execute(AGE_COLLECTIONS, step)

    async def move_to_edge(self, choice: int, *, ahead: float = 0) -> None:
        """Time passes until a campaign starts or ends, or some seconds ahead of that."""
        now = self.clock.now()
        edges = sorted(
            edge
            for one in await self.campaigns()
            if not one.state.has_ended
            for edge in (one.starts_at, one.ends_at)
            if edge is not None and edge > now
        )
        if edges:
            await self.move_clock((edges[choice % len(edges)] - now).total_seconds() - ahead)

    async def deliver(self) -> None:
        """Calls whose sender has died arrive after all, of sales that are not over yet."""
        mislaid, self.mislaid = self.mislaid, []
        has_open = any(not one.state.has_ended for one in await self.campaigns())
        if not mislaid or not has_open:
            return
        async with open_session() as session:
            client = ShopifyClient(
                session,
                shop=self.shopify.shop,
                credential=PermanentToken(self.shopify.token),
                base_url=self.sandbox.shopify_url,
                limits=LimiterRegistry(None),
            )
            for call in mislaid:
                self.calls.append(replace(call, actor=Actor.LATE))
                try:
                    await ORIGINALS["set_prices"](client, call.product_id, call.changes, meter=CallMeter())
                except DongboError:
                    continue

    def machine_of(self, client: ShopifyClient | None = None, context: JobContext | None = None) -> Machine | None:
        """Whose client or run that is."""
        for machine in self.machines:
            parts = getattr(machine, "parts", None)
            if parts is None:
                continue
            if client is not None and any(one.shopify_client is client for one in parts.registry.stores.values()):
                return machine
            if context is not None and context.database is parts.database:
                return machine
        return None

    # What must hold

    async def check_always(self) -> None:
        """What must hold at any moment."""
        held = [*sorted(HELD), "PLANNED"]
        overlaps = await self.database.fetch(OVERLAPS, held)
        assert not overlaps, f"two campaigns hold the same variants at overlapping times: {overlaps}"

    async def check_quiet(self) -> None:
        """What must hold when the clock was looked at, and all jobs have done what they could."""
        now = self.quiet_since
        for campaign in await self.campaigns():
            waits = campaign.state is CampaignState.SCHEDULED
            on = campaign.state in (CampaignState.APPLYING, CampaignState.ACTIVE)
            assert not (waits and campaign.starts_at and campaign.starts_at <= now), f"{campaign} has not begun"
            assert not (on and campaign.ends_at and campaign.ends_at <= now), f"{campaign} has not ended"
            assert campaign.state not in (CampaignState.APPLYING, CampaignState.REVERTING), f"{campaign} is stuck"
        misplaced = await self.database.fetch(MISPLACED)
        assert not misplaced, f"forgotten: {misplaced}"

    async def finish(self, *, restores: bool) -> None:
        """Every campaign is driven to its end."""
        self.calm()
        self.ambushes.clear()
        await self.deliver()
        self.file.clear()
        await self.reload(0)
        await self.settle()
        for round_ in range(80):
            for campaign in await self.campaigns():
                match campaign.state:
                    case CampaignState.DRAFT:
                        await self.ask(0, lambda parts, one=campaign: parts.sales.cancel(one))  # type: ignore[misc]
                    case CampaignState.NEEDS_ATTENTION:
                        drifted = await self.drifted(campaign)
                        decision = (Decision.RESTORE if restores else Decision.KEEP) if drifted else None
                        await self.decide(1, campaign, decision, None)
                    case CampaignState.ACTIVE if campaign.ends_at is None:
                        await self.ask(0, lambda parts, one=campaign: parts.sales.end_now(one))  # type: ignore[misc]
            open_ = [one for one in await self.campaigns() if not one.state.has_ended]
            if not open_:
                break
            edges = [edge for one in open_ for edge in (one.starts_at, one.ends_at) if edge and edge > self.clock.now()]
            if edges and round_ % 2:
                await self.move_clock((min(edges) - self.clock.now()).total_seconds() + 0.5)
            await self.settle()
            await self.check_quiet()
        left = [one for one in await self.campaigns() if not one.state.has_ended]
        assert not left, f"these never end: {left}"

    async def check_end(self) -> None:
        """What must hold when all sales are over."""
        claimed = read_watch(await self.database.fetch(WATCHED))
        present = {one.id: (one.price, one.compare_at_price) for one in self.shopify.variants.values()}
        judge(self.first_prices, [*self.events, *claimed], self.rules, self.nhanh_ever, present)
        await self._check_writes()
        await self._check_jobs()
        await self._check_states()

    async def _check_writes(self) -> None:
        writes = await self.database.fetch(WRITES)
        assert not [write for write in writes if write["result"] == "intended"], "no write stays open"
        intents = {
            (write["variant_id"], write["new_price"], write["new_compare_at"], write["action"]): write["intended_at"]
            for write in reversed(writes)
        }
        for event in self.events:
            if isinstance(event, PriceSet) and event.actor in (Actor.APPLY, Actor.REVERT):
                action = "apply" if event.actor is Actor.APPLY else "revert"
                intended = intents.get((event.variant_id, *event.price, action))
                assert intended is not None, f"{event} has no intent"
                assert intended <= event.at, f"{event} came before its intent"

    async def _check_jobs(self) -> None:
        for job in await self.database.fetch(JOBS, [str(one) for one in SALE_JOBS]):
            assert job["processed"] == job["successful"] + job["skipped"] + job["failed"], dict(job)
            assert job["successful"] == job["created"] + job["updated"], dict(job)
            assert job["failed"] == job["letters"], dict(job)
            if job["status"] == "COMPLETED":
                assert job["total"] == job["processed"], dict(job)

    async def _check_states(self) -> None:
        last: dict[Any, CampaignState] = {}
        for event in await self.database.fetch(EVENTS):
            state, before = CampaignState(event["state"]), last.get(event["campaign_id"])
            if before is None:
                assert state is CampaignState.DRAFT
            elif before is not state:
                assert state in TRANSITIONS[before], f"from {before} to {state}"
            last[event["campaign_id"]] = state


async def _ended(parts: Daemon, job_id: JobId) -> None:
    with parts.hub.subscribe() as events:
        while (await parts.jobs.get(job_id)).status.is_live:
            await events.take()


ORIGINALS = {name: getattr(ShopifyClient, name) for name in CALLS}
_page = JobContext.page


class Stage:
    """Where the world of the present example stands, for the hooks in the daemons' code."""

    world: World | None = None


def hook(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    """Let what lies in wait see calls and transactions pass; let times be those of the example's clock."""

    class Timed:
        """`campaigns` as preparing sees it, at the example's time."""

        async def database_time(self, connection: Connection) -> datetime:
            return stage.world.clock.now() if stage.world else await campaigns.database_time(connection)

        def __getattr__(self, name: str) -> Any:
            return getattr(campaigns, name)

    for module in (preparation, prepare_sale):
        monkeypatch.setattr(module, "campaigns", Timed())
    monkeypatch.setattr(socket, "gethostname", HOST.get)
    monkeypatch.setattr(queue_worker, "POLL_INTERVAL", queue_worker.BUSY_POLL_INTERVAL / 10)
    monkeypatch.setattr(runner, "OUTCOME_DELAYS", ())
    monkeypatch.setattr(pauses, "PAUSE_AFTER_FAILURE", timedelta(0))
    monkeypatch.setattr(apply, "PUSH_PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr(apply, "PRODUCTS_AT_ONCE", 2)
    monkeypatch.setattr(apply.Apply, "pause", 0.02)
    monkeypatch.setattr(revert.Revert, "pause", 0.02)
    monkeypatch.setattr(revert, "READ_AT_ONCE", 7)
    monkeypatch.setattr(JobContext, "page", _watched_page(stage))
    for name in CALLS:
        monkeypatch.setattr(ShopifyClient, name, _watched_call(stage, name))


def _watched_call(stage: Stage, name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        world = stage.world
        assert world is not None
        machine, passing = world.machine_of(client=self), None
        job_type = structlog.contextvars.get_contextvars().get("type", "")
        if name == "set_prices" and machine is not None:
            passing = Call(Actor(job_type), *arguments)
        await world.passing(name, is_after=False, machine=machine, call=passing)
        if passing is not None and passing.is_refused:
            refusal = WriteError(None, "INVALID", "not today")
            return PriceOutcome(refused={change.variant_id: refusal for change in passing.changes})
        if passing is not None:
            world.calls.append(passing)
        answer = await ORIGINALS[name](self, *arguments, **keywords)
        if name == "present_prices" and job_type != JobType.SYNC_PRODUCTS:
            actor = Actor(job_type) if job_type in SALE_JOBS else Actor.PREPARE
            world.events += [Look(datetime.now(UTC), number, price, actor) for number, price in answer.found.items()]
        if name == "product_versions":
            world.versions_seen(answer.found)
        if name == "collection_products":
            world.members[arguments[0]] = tuple(answer.product_ids) if answer else ()
        await world.passing(name, is_after=True, machine=machine, call=passing)
        return answer

    return call


def _watched_page(stage: Stage) -> Callable[..., Any]:
    @asynccontextmanager
    async def page(self: JobContext, *arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        world = stage.world
        assert world is not None
        machine = world.machine_of(context=self)
        watched = self.job.type in SALE_JOBS
        if watched:
            await world.passing("page", is_after=False, machine=machine)
        async with _page(self, *arguments, **keywords) as opened:
            yield opened
            if watched:
                await world.passing("commit", is_after=False, machine=machine)
        if watched:
            await world.passing("page", is_after=True, machine=machine)

    return page
