"""Histories of a shop whose webhooks come late, twice, in any order, with wrong figures, from strangers, or never."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus

import asyncpg
from pydantic import SecretStr

from daemon.bootstrap import Daemon
from daemon.config import ResolvedSecrets, Settings, StoreSecrets
from daemon.jobs import pauses
from daemon.sandbox.server import VERIFY_TOKEN
from daemon.webhooks.listener import listening_for_webhooks
from tests.support.mortal_daemon import Machine
from tests.support.post_office import HELD_AT, PostOffice
from tests.support.shop_memory import ShopMemory
from tests.support.site import eventually
from tests.support.sync_history import ACTS, TOGETHER, Ambush, History, Mislaid
from tests.support.told_webhooks import IS_OPEN
from tests.support.workshop import STORE

MISHAPS = {"post": 10, "shuffle": 6, "repeat": 3, "mislead": 3, "forge": 2, "lose": 2, "prompt": 3, "hold": 2}
PAUSES = {"pause": 1, "resume": 2}
# All that may happen to webhooks, to two daemons that push in many ways at once, and to the people who pause them.
WITH_WEBHOOKS = TOGETHER | MISHAPS | PAUSES | {"change": 16, "chain": 2, "sync": 2, "start_chain": 4, "start_items": 6}
# Nothing but webhooks, and daemons that die: no schedule comes to their help.
WEBHOOKS_ALONE = MISHAPS | {"change": 20, "ambush": 6, "die": 2, "start_items": 3, "deliver": 1, "lose": 0}

NOTED_IN_PAUSE = """
SELECT count(*) FROM dongbo.pushes WHERE store = $1
  AND intended_at > (SELECT since FROM dongbo.store_pauses WHERE store = $1)
"""


class ListeningMachine(Machine):
    """A daemon that listens for webhooks at `address` while it lives."""

    address = HELD_AT

    @asynccontextmanager
    async def _more_running(self, parts: Daemon) -> AsyncIterator[None]:
        settings = self._settings_of_webhooks()
        shopify = self._sandbox.shopify
        secrets = StoreSecrets(
            nhanh_webhook_token=SecretStr(VERIFY_TOKEN), shopify_client_secret=SecretStr(shopify.app.client_secret)
        )
        parts.use_webhooks(settings, ResolvedSecrets(None, None, {STORE: secrets}))
        assert settings.webhooks is not None
        listener = listening_for_webhooks(parts.intake, settings.webhooks)
        async with parts.inbox_writer, _wholly_closed(listener) as address:
            self.address = address.rstrip("/")
            yield

    def _settings_of_webhooks(self) -> Settings:
        """The store as its configuration has it, as far as webhooks are concerned."""
        nhanh, shopify = self._sandbox.nhanh, self._sandbox.shopify
        store = {
            "nhanh": {
                "app_id": nhanh.app_id,
                "business_id": nhanh.business_id,
                "access_token": {"env": "A"},
                "secret_key": {"env": "B"},
            },
            "shopify": {"shop": shopify.shop, "access_token": {"env": "C"}},
            "product_sync": {"price": "retail"},
        }
        return Settings.model_validate({"stores": {STORE: store}, "webhooks": {"listen": "127.0.0.1:0"}})


@asynccontextmanager
async def _wholly_closed(context: AbstractAsyncContextManager[str]) -> AsyncIterator[str]:
    """Hold a context whose end nobody cuts off: a process that dies leaves no connection open either."""
    async with AsyncExitStack() as stack:
        value = await stack.enter_async_context(context)
        try:
            yield value
        finally:
            closing = asyncio.create_task(stack.aclose(), name="closing")
            while not closing.done():  # the cancellation that has led here goes on once this is over
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({closing})


class WebhookHistory(History):
    """A history with a post office between the shops and the daemons."""

    acts = (*ACTS, "post", "post", "post_change", "post_change")

    def __init__(
        self, machines: Sequence[ListeningMachine], memory: ShopMemory, connection: asyncpg.Connection
    ) -> None:
        super().__init__(machines, memory, connection)
        self.post = PostOffice(memory.sandbox, lambda: [machine.address for machine in machines])
        memory.changes["order_at_nhanh"] = self._order

    async def settle(self) -> None:
        """All that is held arrives, and what it tells is dealt with; nothing is held any more."""
        await self._resume()
        self.post.is_prompt = False
        while not self.post.is_empty:
            for machine in self.machines:
                await machine.alive()
            self.post.send(*self.post.take_oldest(len(self.post.held)))
            await self.post.all_arrived()
            await self._inbox_empty()  # its pushes are told of, too
        for machine in self.machines:
            await machine.alive()
        await self._inbox_empty()

    async def end(self) -> None:
        """Nothing is on its way any more."""
        await self.post.close()

    async def _inbox_empty(self) -> None:
        async def is_empty() -> bool:
            return not await self.connection.fetchval(IS_OPEN)

        await eventually(is_empty, 60.0, what="the end of all events")

    # Steps

    async def step_post(self, chance: random.Random) -> None:
        """The oldest ones arrive."""
        await self.post.deliver(*self.post.take_oldest(chance.choice((1, 3, 10, 100))))

    async def step_shuffle(self, chance: random.Random) -> None:
        """Some arrive, in any order."""
        await self.post.deliver(*self.post.take(chance))

    async def step_repeat(self, chance: random.Random) -> None:
        """Some that were taken long ago come once more."""
        await self.post.deliver(*chance.choices(self.post.accepted, k=3))

    async def step_mislead(self, chance: random.Random) -> None:
        """Some arrive with figures that are wrong."""
        await self.post.deliver(*(webhook.misleading(chance) for webhook in self.post.take(chance)))

    async def step_forge(self, chance: random.Random) -> None:
        """Somebody who does not know the secret sends what looks like one."""
        forged = chance.choice(self.post.accepted).forged(chance)
        assert await self.post.attempt(forged) in (HTTPStatus.UNAUTHORIZED, None)

    async def step_lose(self, chance: random.Random) -> None:
        """Some never arrive."""
        self.post.take(chance)

    async def step_prompt(self, _: random.Random) -> None:
        """From now on each leaves as soon as something happens."""
        self.post.is_prompt = True

    async def step_hold(self, _: random.Random) -> None:
        """From now on they are held again."""
        self.post.is_prompt = False

    async def step_pause(self, _: random.Random) -> None:
        """Nothing may be written from now on."""
        async with self.connection.transaction():
            await pauses.pause(self.connection, STORE, None, None, None)

    async def step_resume(self, _: random.Random) -> None:
        """Nothing was written since then."""
        await self._resume()

    async def _resume(self) -> None:
        assert await self.connection.fetchval(NOTED_IN_PAUSE, STORE) == 0
        await pauses.resume(self.connection, STORE)

    async def _strike(self, ambush: Ambush, call: Mislaid, machine: Machine) -> None:
        chance = random.Random(ambush.seed)
        match ambush.act:
            case "post":
                self.post.send(*self.post.take(chance))
            case "post_change":
                for _ in range(3):
                    self.change(chance)
                await asyncio.sleep(0)  # Nhanh.vn tells of stock when the moment is over
                self.post.send(*reversed(self.post.held[-3:]))  # they come again when they are delivered by a step
            case _:
                await super()._strike(ambush, call, machine)

    def _order(self, chance: random.Random) -> None:
        """Somebody buys two products at Nhanh.vn."""
        products = chance.sample([product.id for product in self.memory.sold()], 2)
        customer = self.memory.nhanh.customers.id_at(0)
        depot = chance.choice(self.memory.nhanh.depots).id
        self.memory.nhanh.place_order(customer, dict.fromkeys(products, chance.choice((1, 2))), depot)


class TradeHistory(WebhookHistory):
    """A history in which Nhanh.vn changes what it sells, and customers of Shopify order what is on hand there."""

    acts = ("die", "die", "mislay", "mislay", "deliver", "post", "post_change", "post_change", "used_key")

    def __init__(
        self, machines: Sequence[ListeningMachine], memory: ShopMemory, connection: asyncpg.Connection
    ) -> None:
        super().__init__(machines, memory, connection)
        memory.changes = {
            **{name: memory.changes[name] for name in ("order", "fulfil", "cancel") if name in memory.changes},
            "restock": memory.restock,
            "restock_many": memory.restock_many,
            "reprice": memory.reprice,
            "discount": memory.discount,
            "order_at_nhanh": self._order,
        }

    async def hear_all(self) -> None:
        """Whatever is still on its way arrives, and what it tells is dealt with."""
        self.calm()
        self.ambushes.clear()
        await self._deliver_all()
        await self.settle()
