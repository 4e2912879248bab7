"""Webhooks on their way from the sandbox's shops to whoever listens: in time, late, twice, out of order, or never.

By itself each is sent as soon as something happens, and again where it is not taken, as the shop that sends it does.
`sandbox.webhooks.faults` loses, repeats, delays and forges some of them. To choose the order by hand:

    with sandbox.webhooks.holding() as held:  # nothing leaves
        sandbox.nhanh.change_stock(…)
    random.shuffle(held)
    await sandbox.webhooks.deliver(*held, held[0])  # one after the other, the first once more at the end
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import aiohttp
import orjson
import structlog

log = structlog.get_logger()

AT_ONCE = 64  # webhooks on their way at the same moment
KEPT_ATTEMPTS = 50_000
FIGURES = frozenset(
    {"available", "remain", "holding", "inventory_quantity", "price", "compare_at_price", "retail", "quantity"}
)
"""The names under which a body holds what somebody might be tempted to write without asking the shop."""


class ShopSide(StrEnum):
    """Who sends a webhook."""

    NHANH = "nhanh"
    SHOPIFY = "shopify"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One event on its way to one address: the same headers and bytes at each attempt.

    Args:
        shop: who sends it.
        topic: such as "inventoryChange" or "products/update".
        url: where to.
        headers: without the one that proves who sends it.
        body: JSON.
        proof: the name of that header.
        prove: its value for a body.
    """

    shop: ShopSide
    topic: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    proof: str
    prove: Callable[[bytes], str] = field(repr=False)

    @property
    def content(self) -> Any:
        """The body, decoded."""
        return orjson.loads(self.body)

    def signed(self) -> dict[str, str]:
        """All headers."""
        return {**self.headers, self.proof: self.prove(self.body)}

    def saying(self, content: Any) -> "Webhook":
        """The same with another body, and signed by the shop nevertheless."""
        return replace(self, body=orjson.dumps(content))

    def misleading(self, draw: random.Random) -> "Webhook":
        """The same with wrong figures, and signed by the shop nevertheless."""
        return self.saying(_with_wrong_figures(self.content, draw))

    def forged(self, draw: random.Random) -> "Webhook":
        """What somebody sends who has seen one, but does not know the secret: other figures, and a made-up proof."""
        return replace(self.misleading(draw), prove=lambda _: f"forged-{draw.getrandbits(64):016x}")


@dataclass
class WebhookFaults:
    """What happens to webhooks, as shares from 0 to 1; several may happen to one. May be changed at any time.

    Args:
        lost: never sent.
        repeated: sent twice, with the same id where it has one.
        reordered: sent up to `reorder_seconds` later than others.
        delayed: sent up to `delay_seconds` later.
        forged: beside it, somebody sends a copy with other figures and a made-up proof.
        misleading: its figures are wrong, though it is properly signed.
        cut: at the first attempt only half of the body arrives.
        reorder_seconds: see above.
        delay_seconds: see above.
        seed: the same seed chooses the same ones in the same order of events.
    """

    lost: float = 0.0
    repeated: float = 0.0
    reordered: float = 0.0
    delayed: float = 0.0
    forged: float = 0.0
    misleading: float = 0.0
    cut: float = 0.0
    reorder_seconds: float = 0.5
    delay_seconds: float = 5.0
    seed: int = 0
    draw: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(f"{self.seed}/webhooks")

    def strikes(self, share: float) -> bool:
        """Whether something happens to the next one."""
        return share > 0 and self.draw.random() < share


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """One attempt to deliver one. `status` is None where there was no answer."""

    webhook: Webhook
    at: float  # Unix seconds
    status: int | None


class Sender(Protocol):
    """The shop behind a webhook: how often it tries, what counts as taken, and what follows from the outcome."""

    @property
    def waits(self) -> Sequence[float]:
        """Seconds before each further attempt."""

    def takes(self, status: int) -> bool:
        """Whether this answer says that the event has been taken."""

    def concluded(self, webhook: Webhook, *, taken: bool) -> None:
        """There will be no further attempt."""


class WebhookDeliveries:
    """Sends the webhooks of both shops; open while `running`.

    Args:
        senders: the shops.
        faults: what goes wrong on the way.
        time_scale: what the waits before further attempts are multiplied with; 0 makes them at once.

    `patience` is how many seconds an answer may take. `attempts` are the recent ones, `counts` how many webhooks were
    posted, and what happened to them by the names of `WebhookFaults`.
    """

    def __init__(
        self, senders: Mapping[ShopSide, Sender], faults: WebhookFaults | None = None, *, time_scale: float = 1.0
    ) -> None:
        self.faults = faults or WebhookFaults()
        self.time_scale = time_scale
        self.patience = 5.0  # Shopify: an answer "within five seconds"
        self.attempts: deque[WebhookAttempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.counts: Counter[str] = Counter()
        self._senders = senders
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._held: list[Webhook] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0  # those on their way, but for those that wait for a further attempt
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send what is posted meanwhile; what has not arrived at the end never will."""
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(connector=connector) as self._session:
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._session = None

    def post(self, webhook: Webhook) -> None:
        """Send it as soon as possible, unless something happens to it."""
        self.counts["posted"] += 1
        if self._held is not None:
            self._held.append(webhook)
            return
        if self._session is None:
            return
        faults, draw = self.faults, self.faults.draw
        if self._strikes("lost"):
            return
        if self._strikes("forged"):
            self._start(webhook.forged(draw), delay=0.0, again=False)
        if self._strikes("misleading"):
            webhook = webhook.misleading(draw)
        delay = draw.uniform(0, faults.reorder_seconds) if self._strikes("reordered") else 0.0
        delay += draw.uniform(0, faults.delay_seconds) if self._strikes("delayed") else 0.0
        self._start(webhook, delay=delay, cut=self._strikes("cut"))
        if self._strikes("repeated"):
            self._start(webhook, delay=draw.uniform(0, faults.reorder_seconds))

    @contextmanager
    def holding(self) -> Iterator[list[Webhook]]:
        """Meanwhile, keep what would be sent; it is never sent by itself."""
        if self._held is not None:
            raise RuntimeError("webhooks are being held already")
        held: list[Webhook] = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None

    async def deliver(self, *webhooks: Webhook) -> list[int | None]:
        """Make one attempt at each, in this order, the next one after the answer to the one before.

        Returns the HTTP statuses of the answers; None where there was none.
        """
        return [await self._attempt(webhook, webhook.body) for webhook in webhooks]

    async def settled(self) -> None:
        """Wait until everything has arrived that does not wait for a further attempt."""
        await asyncio.sleep(0)  # Nhanh.vn tells of stock when the moment is over
        await self._idle.wait()

    def _strikes(self, fault: str) -> bool:
        if not self.faults.strikes(getattr(self.faults, fault)):
            return False
        self.counts[fault] += 1
        return True

    def _start(self, webhook: Webhook, *, delay: float, cut: bool = False, again: bool = True) -> None:
        self._work(1)
        task = asyncio.create_task(
            self._send(webhook, delay, cut=cut, again=again), name=f"sandbox-webhook-{webhook.topic}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._work(-1)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook_sender_failed", exc_info=error)

    def _work(self, change: int) -> None:
        self._busy += change
        if self._busy:
            self._idle.clear()
        else:
            self._idle.set()

    async def _send(self, webhook: Webhook, delay: float, *, cut: bool, again: bool) -> None:
        """Until it is taken, or there is no further attempt."""
        sender = self._senders[webhook.shop]
        if delay:
            await asyncio.sleep(delay)
        body = webhook.body[: len(webhook.body) // 2] if cut else webhook.body
        taken = self._is_taken(sender, await self._attempt(webhook, body))
        for wait in sender.waits if again else ():
            if taken:
                break
            await self._rest(wait * self.time_scale)
            taken = self._is_taken(sender, await self._attempt(webhook, webhook.body))
        if again:
            sender.concluded(webhook, taken=taken)

    async def _rest(self, seconds: float) -> None:
        if not seconds:
            return
        self._work(-1)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._work(1)

    def _is_taken(self, sender: Sender, status: int | None) -> bool:
        return status is not None and sender.takes(status)

    async def _attempt(self, webhook: Webhook, body: bytes) -> int | None:
        if self._session is None:
            raise RuntimeError("webhooks can be delivered only while the sandbox runs")
        patience = aiohttp.ClientTimeout(total=self.patience)
        status: int | None = None
        async with self._slots:
            at = time.time()
            try:
                async with self._session.post(
                    webhook.url, data=body, headers=webhook.signed(), allow_redirects=False, timeout=patience
                ) as response:
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.debug("webhook_not_delivered", url=webhook.url, topic=webhook.topic, error=str(error))
        self.attempts.append(WebhookAttempt(webhook, at, status))
        return status


def _with_wrong_figures(content: Any, draw: random.Random) -> Any:
    if isinstance(content, list):
        return [_with_wrong_figures(each, draw) for each in content]
    if not isinstance(content, dict):
        return content
    return {
        name: _wrong(value, draw) if name in FIGURES else _with_wrong_figures(value, draw)
        for name, value in content.items()
    }


def _wrong(value: Any, draw: random.Random) -> Any:
    figure = draw.randrange(1, 1_000_000)
    return str(figure) if isinstance(value, str) else figure
