"""Histories of a shop that is synced: what happens in it, to the calls of the daemon, and to the daemon itself.

A history is a list of steps, each with a seed of its own, so that any part of the list is a history, too.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import pytest

from daemon.bootstrap import Daemon
from daemon.errors import DongboError, InvalidTransition, LiveJobExists
from daemon.ids import JobId
from daemon.jobs.model import Job, JobRequest, JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.sandbox.faults import Fault
from daemon.sandbox.nhanh.sandbox import LoggedRequest
from daemon.sandbox.server import SandboxSettings, running_sandbox
from daemon.sandbox.shopify.idempotency import IdempotencyProblem
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from tests.support.mortal_daemon import Machine, MachineDied
from tests.support.shop_memory import ShopMemory, product_sync
from tests.support.sync_ledger import MAPPED, WATCH
from tests.support.workshop import STORE

T = TypeVar("T")
H = TypeVar("H", bound="History")

STEPS = 45
PATIENCE = 30.0  # seconds for one job
WRITES = ("set_stock", "activate_item", "set_prices")
READS = ("stock_levels", "present_prices")
LIVE = "SELECT id FROM dongbo.background_jobs WHERE status IN ('PENDING', 'RUNNING') ORDER BY parent_id IS NULL, id"
ASKING = "SELECT job_id AS id FROM dongbo.approvals WHERE state = 'open'"


@dataclass(frozen=True)
class Step:
    """Something that happens; the seed decides how."""

    kind: str
    seed: int


WEIGHTS = {
    "change": 14,
    "ambush": 10,
    "chain": 9,
    "sync": 5,
    "pull_shopify": 2,
    "pull_inventory": 2,
    "pull_nhanh": 1,
    "match": 1,
    "decide": 1,
    "faults": 2,
    "calm": 2,
    "hide_depots": 1,
    "show_depots": 2,
    "deliver": 2,
    "die": 1,
    "start_pull": 3,
    "glimpse": 4,
}


# A full sync, syncs of a few items and pulls at once, on two daemons.
TOGETHER = WEIGHTS | {"sync_items": 3, "start_items": 14, "start_chain": 6, "start_pull": 5}


ACTS = (
    *("foreign", "foreign", "change", "die", "die", "mislay", "mislay", "deliver", "deliver"),
    *("lose_database", "cancel", "fault", "used_key"),
)


PATHS = ("product/list", "product/inventory", "business/depot", "app/checkaccesstoken")
GLIMPSE_ACTS = ("hide", "show", "show", "change", "change")


def make_history(seed: int, length: int = STEPS, weights: Mapping[str, int] = WEIGHTS) -> list[Step]:
    """The steps of a seed; `weights`: how often each kind of step is taken."""
    chance = random.Random(seed)
    kinds = chance.choices(list(weights), weights=list(weights.values()), k=length)
    return [Step(kind, chance.randrange(10**6)) for kind in kinds]


@dataclass
class Ambush:
    """What happens at the n-th call of some methods of the client from now on, before it or after its answer."""

    methods: tuple[str, ...]
    calls: int
    is_after: bool
    act: str
    seed: int


@dataclass
class Glimpse:
    """What happens when Nhanh.vn is asked for the n-th time by a path from now on, before it answers."""

    path: str
    calls: int
    act: str
    seed: int


class Requests(deque[LoggedRequest]):
    """The sandbox's log of requests, which tells of each before it is answered."""

    def __init__(self, listener: Callable[[LoggedRequest], None]) -> None:
        super().__init__(maxlen=1_000)
        self._listener = listener

    def append(self, request: LoggedRequest) -> None:
        """Enter a request."""
        super().append(request)
        self._listener(request)


@dataclass
class Mislaid:
    """A call that is still on its way when its sender has died."""

    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class History:
    """Lives through steps on one shop and one database."""

    acts: Sequence[str] = ACTS

    def __init__(self, machines: Sequence[Machine], memory: ShopMemory, connection: asyncpg.Connection) -> None:
        self.machines = machines  # all on one database; what is asked is asked of the first
        self.memory = memory
        self.faults = memory.sandbox.faults
        self.connection = connection
        self.ambushes: list[Ambush] = []
        self.mislaid: list[Mislaid] = []
        self.glimpses: list[Glimpse] = []
        self.sprung: list[str] = []
        memory.nhanh.requests = Requests(self.asked_nhanh)

    @property
    def machine(self) -> Machine:
        """The daemon that is asked."""
        return self.machines[0]

    async def live(self, steps: Sequence[Step]) -> None:
        """One step after the other."""
        for step in steps:
            for machine in self.machines[1:]:
                await machine.alive()
            await getattr(self, f"step_{step.kind}")(random.Random(step.seed))

    async def become_quiet(self) -> None:
        """Nothing happens any more, and two chains come to their end; the second one finds nothing to do."""
        self.calm()
        self.ambushes.clear()
        self.glimpses.clear()
        self.memory.nhanh.depot_ids = ()
        await self._deliver_all()
        for machine in self.machines:
            await machine.alive()
        for row in await self.connection.fetch(LIVE):
            await self.finished(JobId(row["id"]))
        await self.settle()
        for job_type in (JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS):
            await self.completed(job_type, full=True)
        await self.settled_chain()
        written = len(self.memory.journal)
        await self.settle()
        await self.settled_chain()
        assert self.memory.journal[written:] == [], "with nothing changed nothing is written"

    async def settle(self) -> None:
        """What is under way besides jobs comes to its end: here it is nothing."""

    async def end(self) -> None:
        """End what it has begun."""

    async def settled_chain(self) -> None:
        """A chain that completes, whatever has to be approved for it."""
        job = await self.job(JobType.PRODUCT_CHAIN)
        for row in await self.connection.fetch(ASKING):
            approved = await self.approved(JobId(row["id"]))
            assert approved.status is JobStatus.COMPLETED, approved.error
        job = await self.finished(job.id)
        assert job.status is JobStatus.COMPLETED, job.error

    async def job(self, job_type: JobType, **params: Any) -> Job:
        """A job when it has ended or waits, however often the daemon dies meanwhile; perhaps one that was live."""
        request = JobRequest(job_type, STORE, JobTrigger.API, params)
        try:
            job_id = (await self.asked(lambda parts: parts.jobs.submit(request))).id
        except LiveJobExists as live:
            job_id = live.job_id
        return await self.finished(job_id)

    async def completed(self, job_type: JobType, **params: Any) -> None:
        """A job that succeeds."""
        job = await self.job(job_type, **params)
        assert job.status is JobStatus.COMPLETED, job.error

    async def finished(self, job_id: JobId) -> Job:
        """A job when it is no longer live."""
        async with asyncio.timeout(PATIENCE):
            return await self.asked(lambda parts: _not_live(parts, job_id))

    async def approved(self, job_id: JobId) -> Job:
        """A job that waits, when it has carried out what it asked about."""
        await self.asked(lambda parts: parts.jobs.approve(job_id))
        return await self.finished(job_id)

    async def asked(self, question: Callable[[Daemon], Awaitable[T]]) -> T:
        """The answer of a living daemon, the next one if need be."""
        while True:
            parts = await self.machine.alive()
            try:
                return await self.machine.unless_dead(question(parts))
            except MachineDied:
                continue

    # Steps

    async def step_change(self, chance: random.Random) -> None:
        for _ in range(chance.randrange(1, 6)):
            self.change(chance)

    async def step_ambush(self, chance: random.Random) -> None:
        act = chance.choice(self.acts)
        methods = READS if chance.random() < 0.2 else WRITES
        calls, is_after = chance.choice((1, 1, 2, 3, 5)), chance.random() < 0.5
        self.ambushes.append(Ambush(methods, calls, is_after, act, chance.randrange(10**6)))

    async def step_sync(self, chance: random.Random) -> None:
        await self.job(JobType.SYNC_PRODUCTS, **({"dry_run": True} if chance.random() < 0.1 else {}))

    async def step_sync_items(self, chance: random.Random) -> None:
        if variants := await self._some_variants(chance):
            await self.job(JobType.SYNC_PRODUCTS, variants=variants)

    async def step_start_items(self, chance: random.Random) -> None:
        if variants := await self._some_variants(chance):
            await self._start(JobType.SYNC_PRODUCTS, variants=variants)

    async def step_start_chain(self, _: random.Random) -> None:
        await self._start(JobType.PRODUCT_CHAIN)

    async def _some_variants(self, chance: random.Random) -> list[int]:
        mapped = [row["variant_id"] for row in await self.connection.fetch(MAPPED)]
        return sorted(chance.sample(mapped, min(len(mapped), chance.choice((1, 2, 5, 12)))))

    async def _start(self, job_type: JobType, **params: Any) -> None:
        """Let a job run beside what comes next."""
        request = JobRequest(job_type, STORE, JobTrigger.API, params)
        try:
            await self.asked(lambda parts: parts.jobs.submit(request))
        except LiveJobExists:
            return

    async def step_chain(self, chance: random.Random) -> None:
        await self.job(JobType.PRODUCT_CHAIN, pull_products=chance.random() < 0.7)

    async def step_pull_shopify(self, chance: random.Random) -> None:
        await self.job(JobType.PULL_SHOPIFY_PRODUCTS, full=chance.random() < 0.5)

    async def step_pull_inventory(self, chance: random.Random) -> None:
        await self.job(JobType.PULL_NHANH_INVENTORY, full=chance.random() < 0.5)

    async def step_pull_nhanh(self, chance: random.Random) -> None:
        await self.job(JobType.PULL_NHANH_PRODUCTS, full=chance.random() < 0.5)

    async def step_match(self, _: random.Random) -> None:
        await self.job(JobType.MATCH_PRODUCTS)

    async def step_start_pull(self, chance: random.Random) -> None:
        pulls = (JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_NHANH_INVENTORY, JobType.PULL_NHANH_PRODUCTS)
        await self._start(chance.choice(pulls), full=chance.random() < 0.7)

    async def step_glimpse(self, chance: random.Random) -> None:
        path, calls = chance.choice(PATHS), chance.choice((1, 1, 2, 3))
        self.glimpses.append(Glimpse(path, calls, chance.choice(GLIMPSE_ACTS), chance.randrange(10**6)))

    async def step_decide(self, chance: random.Random) -> None:
        for row in await self.connection.fetch(ASKING):
            job_id = JobId(row["id"])
            if chance.random() < 0.3:
                await self.asked(lambda parts, job_id=job_id: parts.jobs.reject(job_id))  # type: ignore[misc]
            else:
                await self.approved(job_id)

    async def step_faults(self, chance: random.Random) -> None:
        for fault in (Fault.ERROR_500, Fault.NONSENSE, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF, Fault.SLOW):
            setattr(self.faults, fault.value, chance.choice((0.0, 0.0, 0.05, 0.15)))

    async def step_calm(self, _: random.Random) -> None:
        self.calm()

    async def step_hide_depots(self, chance: random.Random) -> None:
        self.hide(chance)

    async def step_show_depots(self, _: random.Random) -> None:
        self.memory.nhanh.depot_ids = ()

    async def step_deliver(self, _: random.Random) -> None:
        await self._deliver_all()

    async def step_die(self, chance: random.Random) -> None:
        chance.choice(self.machines).die()

    def change(self, chance: random.Random) -> None:
        """A change of either shop."""
        self.memory.changes[chance.choice(list(self.memory.changes))](chance)

    def hide(self, chance: random.Random) -> None:
        """The access token loses some depots."""
        depots = [depot.id for depot in self.memory.nhanh.depots]
        self.memory.nhanh.depot_ids = chance.sample(depots, k=chance.randrange(1, len(depots)))

    def calm(self) -> None:
        """No more faults."""
        for fault in Fault:
            setattr(self.faults, fault.value, 0.0)

    # Ambushes

    async def passing(self, method: str, call: Mislaid, client: ShopifyClient, *, is_after: bool) -> None:
        """A call of a daemon's client is about to be sent, or was answered: whoever lies in wait for it strikes."""
        for ambush in list(self.ambushes):
            if method not in ambush.methods or is_after is not ambush.is_after:
                continue
            ambush.calls -= 1
            if ambush.calls <= 0:
                self.ambushes.remove(ambush)
                self.sprung.append(f"{ambush.act} {'after' if is_after else 'before'} {method}")
                await self._strike(ambush, call, self._owner(client))

    def asked_nhanh(self, request: LoggedRequest) -> None:
        """Nhanh.vn is about to answer."""
        for glimpse in list(self.glimpses):
            if not request.path.endswith(glimpse.path):
                continue
            glimpse.calls -= 1
            if glimpse.calls <= 0:
                self.glimpses.remove(glimpse)
                self.sprung.append(f"{glimpse.act} at {glimpse.path}")
                chance = random.Random(glimpse.seed)
                match glimpse.act:
                    case "hide":
                        self.hide(chance)
                    case "show":
                        self.memory.nhanh.depot_ids = ()
                    case "change":
                        self.change(chance)

    def _owner(self, client: ShopifyClient) -> Machine:
        owners = (each for each in self.machines if each.parts.registry.stores[STORE].shopify is client)
        return next(owners, self.machine)

    async def _strike(self, ambush: Ambush, call: Mislaid, machine: Machine) -> None:
        chance = random.Random(ambush.seed)
        match ambush.act:
            case "foreign":
                self._interfere(chance, call)
            case "change":
                self.change(chance)
            case "die" | "mislay":
                if ambush.act == "mislay" and call.method in WRITES and not ambush.is_after:
                    self.mislaid.append(call)
                machine.die()
                raise asyncio.CancelledError("the daemon is dead")
            case "deliver":
                await self._deliver_all()
            case "lose_database":
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            case "cancel":
                await self._cancel(chance)
            case "fault":
                faults = (Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF, Fault.ERROR_500, Fault.SLOW)
                self.faults.next(chance.choice(faults), path="graphql.json", times=chance.choice((1, 2)))
            case "lose_answer":
                self.faults.next(Fault.RESET, path="graphql.json")
            case "used_key":
                self.memory.shopify.idempotency.refuse_next(chance.choice(list(IdempotencyProblem)))

    def _interfere(self, chance: random.Random, call: Mislaid) -> None:
        """Somebody else changes at Shopify just what the call is about."""
        memory, shopify = self.memory, self.memory.shopify
        if call.method == "set_stock":
            change = chance.choice(call.arguments[0])
            variant = shopify.inventory_items.get(change.item_id)
            if variant is None or variant.level_at(change.location_id) is None:
                return
            match chance.choice(("other", "same", "back", "unstock", "delete")):
                case "other":
                    memory.set_level(variant, change.location_id, change.quantity + 3)
                case "same":
                    memory.set_level(variant, change.location_id, change.quantity)
                case "back":
                    memory.set_level(variant, change.location_id, change.expected)
                case "unstock":
                    memory.stop_stocking(variant, change.location_id)
                case "delete":
                    shopify.delete_variant(variant.id)
        elif call.method == "set_prices":
            variant = shopify.variants.get(chance.choice(call.arguments[1]).variant_id)
            if variant is not None:
                memory.set_prices(variant, variant.price + 1_000, None)
        else:
            self.change(chance)

    async def _cancel(self, chance: random.Random) -> None:
        row = chance.choice(await self.connection.fetch(LIVE))
        try:
            await self.machine.parts.jobs.cancel(JobId(row["id"]))
        except InvalidTransition:
            return

    async def _deliver_all(self) -> None:
        """What was still on its way when its sender died arrives after all."""
        sandbox = self.memory.sandbox
        async with open_session() as session:
            client = ShopifyClient(
                session,
                shop=sandbox.shopify.shop,
                credential=PermanentToken(sandbox.shopify.token),
                base_url=sandbox.shopify_url,
                limits=LimiterRegistry(None),
            )
            while self.mislaid:
                call = self.mislaid.pop(0)
                try:
                    await _original(call.method)(client, *call.arguments, **call.keywords | {"meter": CallMeter()})
                except DongboError:
                    continue


_ORIGINALS = {method: getattr(ShopifyClient, method) for method in WRITES + READS}


def _original(method: str) -> Callable[..., Awaitable[Any]]:
    return _ORIGINALS[method]


async def _not_live(parts: Daemon, job_id: JobId) -> Job:
    with parts.hub.subscribe() as events:
        while True:
            job = await parts.jobs.get(job_id)
            if not job.status.is_live:
                return job
            await events.take()


@asynccontextmanager
async def begun_history(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    replays: bool,
    daemons: int = 1,
    kind: Callable[[Sequence[Any], ShopMemory, asyncpg.Connection], H] = History,
    machine: type[Machine] = Machine,
    **settings: object,
) -> AsyncIterator[H]:
    """A small shop whose two sides are in step, and daemons that may be ambushed at each of their calls.

    `kind` of history, with daemons that are a `machine` each; the rest are settings of the product sync.
    """
    sandbox_settings = SandboxSettings(products=14, customers=1, limits=False, unstocked_share=0.2)
    sandbox_settings.faults.slow_seconds = 0.05
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(WATCH)
        async with running_sandbox(sandbox_settings) as sandbox:
            sandbox.shopify.idempotency.replays = replays
            memory = ShopMemory(sandbox, product_sync(sandbox, **settings))
            machines = [machine(database_url, sandbox, settings) for _ in range(daemons)]
            history = kind(machines, memory, connection)
            for method in WRITES + READS:
                monkeypatch.setattr(ShopifyClient, method, _ambushed(history, method))
            try:
                for each in machines:
                    await each.start()
                await history.become_quiet()
                for each in machines:
                    each.deaths = 0
                yield history
            finally:
                for each in machines:
                    await each.stop()
                await history.end()
    finally:
        await connection.close()


def _ambushed(history: History, method: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: ShopifyClient, *arguments: Any, **keywords: Any) -> Any:
        passing = Mislaid(method, arguments, keywords)
        await history.passing(method, passing, self, is_after=False)
        answer = await _original(method)(self, *arguments, **keywords)
        await history.passing(method, passing, self, is_after=True)
        return answer

    return call
