"""A post office between both shops and the daemons: webhooks come late, twice, in any order, or never.

All that the shops send is held until somebody delivers it, or leaves at once, beside whatever else happens. What was
not answered, such as by a daemon that is dead, comes again later, as both shops see to.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from daemon.sandbox.server import Sandbox
from daemon.sandbox.webhooks import ShopSide, Webhook
from tests.support.workshop import STORE

HELD_AT = "http://127.0.0.1:1"  # an address that is replaced at each delivery
EVENT_ID = "X-Shopify-Webhook-Id"

EVENTS = "SELECT state, outcome, source, topic, event_id FROM dongbo.webhook_events"
TOPICS = "SELECT source, topic, received, repeated FROM dongbo.webhook_topics"

Fetch = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]


class PostOffice:
    """Takes all webhooks of both shops, and delivers them to one or another of some listeners.

    Args:
        sandbox: the shops.
        addresses: of the listeners at present, such as "http://127.0.0.1:8766".

    `held` are those that wait here, `is_prompt` whether new ones leave at once. `accepted` are those that were answered
    with 200, in order; `unanswered` how many deliveries, by topic, were not, and may be in the inbox all the same.
    """

    def __init__(self, sandbox: Sandbox, addresses: Callable[[], Sequence[str]]) -> None:
        self.held: list[Webhook] = []
        self.is_prompt = False
        self.accepted: list[Webhook] = []
        self.unanswered: Counter[tuple[ShopSide, str]] = Counter()
        self._sandbox = sandbox
        self._addresses = addresses
        self._draw = random.Random("post")
        self._on_their_way: set[asyncio.Task[None]] = set()
        sandbox.nhanh.webhooks.post = sandbox.shopify.webhooks.post = self._post
        sandbox.send_webhooks(HELD_AT, STORE)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held or on its way."""
        return not self.held and not self._on_their_way

    def take(self, chance: random.Random) -> list[Webhook]:
        """Some of those that are held, which are so no longer, in any order."""
        chosen = chance.sample(range(len(self.held)), min(len(self.held), chance.choice((1, 4, 20))))
        webhooks = [self.held[place] for place in chosen]
        self.held = [webhook for place, webhook in enumerate(self.held) if place not in set(chosen)]
        return webhooks

    def take_oldest(self, count: int) -> list[Webhook]:
        """So many of those that are held, which are so no longer, in order."""
        chosen, self.held = self.held[:count], self.held[count:]
        return chosen

    def send(self, *webhooks: Webhook) -> None:
        """Let them arrive one after the other, beside what comes next."""
        if webhooks:
            task = asyncio.create_task(self.deliver(*webhooks), name="webhooks")
            self._on_their_way.add(task)

    async def deliver(self, *webhooks: Webhook) -> None:
        """Deliver them in this order; who is not answered comes again."""
        for webhook in webhooks:
            status = await self.attempt(webhook)
            if status == HTTPStatus.OK:
                self.accepted.append(webhook)
            else:
                assert status in (None, HTTPStatus.SERVICE_UNAVAILABLE), f"{webhook} was answered with {status}"
                self.unanswered[webhook.shop, webhook.topic] += 1
                self.held.append(webhook)

    async def attempt(self, webhook: Webhook) -> int | None:
        """What one listener answers; None: nothing."""
        url = webhook.url.replace(HELD_AT, self._draw.choice(self._addresses()))
        [status] = await self._sandbox.webhooks.deliver(replace(webhook, url=url))
        return status

    async def all_arrived(self) -> None:
        """Wait until nothing is on its way."""
        while self._on_their_way:
            done, _ = await asyncio.wait(self._on_their_way)
            self._on_their_way -= done
            for task in done:
                task.result()

    async def close(self) -> None:
        """What is on its way does not arrive."""
        for task in self._on_their_way:
            task.cancel()
        await asyncio.gather(*self._on_their_way, return_exceptions=True)

    def _post(self, webhook: Webhook) -> None:
        if self.is_prompt:
            self.send(webhook)
        else:
            self.held.append(webhook)


async def check_inbox(office: PostOffice, fetch: Fetch) -> None:
    """Nothing is open, each event says what came of it, and all that was accepted is there, once."""
    events = await fetch(EVENTS)
    unexplained = [dict(event) for event in events if event["state"] not in ("DONE", "NOTED", "FAILED")]
    unexplained += [dict(event) for event in events if not event["outcome"]]
    assert not unexplained, unexplained
    there = Counter(event["event_id"] for event in events if event["source"] == ShopSide.SHOPIFY)
    sent = {webhook.headers[EVENT_ID] for webhook in office.accepted if webhook.shop is ShopSide.SHOPIFY}
    assert sent <= there.keys(), "accepted, and not stored"
    assert set(there.values()) <= {1}, "stored twice"
    distinct = Counter(event["topic"] for event in events if event["source"] == ShopSide.SHOPIFY)
    accepted = Counter((webhook.shop, webhook.topic) for webhook in office.accepted)
    for row in await fetch(TOPICS):
        topic = ShopSide(row["source"]), row["topic"]
        most = accepted[topic] + office.unanswered[topic]
        assert accepted[topic] <= row["received"] <= most, (dict(row), accepted[topic], most)
        if row["source"] == ShopSide.SHOPIFY:
            assert row["received"] - row["repeated"] == distinct[row["topic"]], dict(row)
