"""What putting campaigns on sale and taking them back have in common: rounds of decisions, calls and results.

All campaigns of a store that have something to do are served in turn, so that a small one that starts beside a large
one does not wait for it. A round decides about some variants and records what it is about to write, in one transaction;
then come the calls; then what came of them, in another one. What differs between the two is in `apply.py` and
`revert.py`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

import orjson

from daemon.api.sales import ItemState, WriteAction, WriteResult
from daemon.database.pool import Connection
from daemon.errors import DongboError, RowsUnread, SourceError, StorePaused
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.ids import CampaignId, StoreName
from daemon.jobs.context import JobContext
from daemon.jobs.failures import DeadLetter
from daemon.jobs.model import Counters
from daemon.mirror import shopify as mirror
from daemon.money import amount_text, amount_text_or_none
from daemon.sales import items, journal
from daemon.sales.items import Move
from daemon.sales.journal import Write
from daemon.sales.model import Campaign
from daemon.sales.reading import FreshPrices, read_prices
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.endpoint import SMALL_COST
from daemon.sources.shopify.price_watch import READ_LASTS
from daemon.sources.shopify.price_writer import write_prices
from daemon.sources.shopify.writes import PRICE_GONE_CODES, PriceChange, PriceOutcome, WriteError

READ_AT_ONCE = 250  # variants
FAILED_ROUNDS = 2  # without any success, after which the run goes on later
# What is read at once is written before it has to be read again, even where the first call waits a little.
ROUND_SECONDS = 0.75 * READ_LASTS
MOST_NAMED = 5

GONE = mark("the variant no longer exists in Shopify")
WAS_THERE = mark("Shopify already had the price to go back to")
NOT_SENT = mark("not sent: the price had changed since it was read")


@dataclass(slots=True)
class CampaignProgress:
    """How far this run is with a campaign."""

    campaign: Campaign
    after: tuple[int, int] = (0, 0)  # the last (product, variant) of this pass
    is_first_pass: bool = True
    has_begun: bool = False
    waits: bool = False  # only for what others are working on
    error: DongboError | None = None  # why calls of this pass failed
    failed_rounds: int = 0  # one after the other, in which no call succeeded
    unread: dict[int, str] = field(default_factory=dict)  # variants whose prices can't be read in this run, and why
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Portion:
    """Variants that a round has decided about, and what it has recorded to write of them.

    Args:
        read_at: when their old prices were asked for, by `boot_time`.
        last: the last of them in the order of the pass, (product, variant).
    """

    writes: Sequence[Write]
    read_at: float
    last: tuple[int, int]


class Rounds(ABC):
    """One run of a job that writes the prices of a store's campaigns.

    Args:
        left_alone: campaigns that this run must not touch, and why.
    """

    action: ClassVar[WriteAction]
    done: ClassVar[ItemState]  # the state of a variant whose price was written
    refused: ClassVar[ItemState]  # and of one whose price Shopify refused
    put_back: ClassVar[ItemState | None]  # of one that was put off; None: it stays under way
    pause: ClassVar[float]  # seconds between two rounds while all campaigns wait for others

    def __init__(
        self,
        context: JobContext,
        store: StoreName,
        shopify: ShopifyClient,
        meter: CallMeter,
        left_alone: Mapping[CampaignId, DongboError] | None = None,
    ) -> None:
        self._context = context
        self._store = store
        self._shopify = shopify
        self._meter = meter
        self._progress: dict[CampaignId, CampaignProgress] = {}
        self._failed: dict[CampaignId, DongboError] = dict(left_alone or {})
        self._expected = context.processed

    async def run(self) -> None:
        """Go on until no campaign of the store has anything left to do.

        A campaign that fails keeps none of the others back; its error is raised when they are done. Where the store is
        paused, all of them wait.
        """
        try:
            await self._serve_all()
        except StorePaused as paused:
            self._context.has_only_planned = True
            await self._context.describe(total=self._context.processed, notices=[str(paused)], paused=True)
        else:
            await self._context.describe(total=self._context.processed)
        for failure in self._failed.values():
            raise failure

    async def _serve_all(self) -> None:
        while due := await self._due() or await self._reopened():
            for progress in due:
                try:
                    await self._round(progress)
                except SourceError as error:
                    self._failed[progress.campaign.id] = error
            if all(progress.waits for progress in due):
                await self._context.unless_stopped(asyncio.sleep(self.pause))

    async def _due(self) -> list[CampaignProgress]:
        """The campaigns with something to do, by their start."""
        async with self._context.database.acquire_for_work() as connection:
            due = [campaign for campaign in await self.list_due(connection) if campaign.id not in self._failed]
        for campaign in due:
            self._progress.setdefault(campaign.id, CampaignProgress(campaign)).campaign = campaign
        return [self._progress[campaign.id] for campaign in due]

    async def _reopened(self) -> list[CampaignProgress]:
        return await self._due() if await self.reopen() else []

    async def _round(self, progress: CampaignProgress) -> None:
        if not progress.has_begun:
            self._expected += await self.begin(progress)
            names = [each.campaign.name for each in self._progress.values()]
            await self._context.describe(total=max(self._expected, self._context.processed), campaigns=names)
            progress.has_begun = True
        progress.waits = False
        portion = await self.next_portion(progress)
        if portion is None:
            await self._end_pass(progress)
            return
        if portion.writes:
            await self._write(progress, portion)
        progress.after = portion.last

    async def _write(self, progress: CampaignProgress, portion: Portion) -> None:
        campaign, writes = progress.campaign, portion.writes
        # Awaited as it is: a call that is under way is not abandoned because the run is to stop.
        outcome, error = await write_prices(self._shopify, _changes(writes), meter=self._meter, read_at=portion.read_at)
        put_off = self.put_off(outcome)
        moves = [move for write in writes if (move := self._moved(write, outcome, put_off)) is not None]
        refused = {move.variant_id for move in moves if move.state is self.refused}
        async with self._context.page(checkpoint=None) as page:
            await items.move(page.connection, campaign.id, moves)
            await journal.settle(page.connection, campaign.id, _results(outcome, put_off), outcome.in_doubt)
            await mirror.set_prices(page.connection, self._store, outcome.applied)
            page.reject(
                [
                    _refusal(campaign, write, outcome.refused[write.variant_id])
                    for write in writes
                    if write.variant_id in refused
                ]
            )
            page.count(self.counted(moves))
            if refused:
                await self.report_refusals(page.connection)
        if error is not None:
            progress.error = error
            progress.failed_rounds = 0 if outcome.applied else progress.failed_rounds + 1
            if progress.failed_rounds >= FAILED_ROUNDS:
                raise error
        elif len(moves) < len(writes):
            await self.settle_unknown(progress)

    def _moved(self, write: Write, outcome: PriceOutcome, put_off: frozenset[int]) -> Move | None:
        """A variant's state after its write; None where it stays under way."""
        number = write.variant_id
        if number in outcome.applied:
            return Move(number, self.done, seen=outcome.applied[number])
        if (error := outcome.refused.get(number)) is not None:
            return Move(number, ItemState.GONE if _is_gone(error) else self.refused, _why(error))
        if number in put_off and self.put_back is not None:
            return Move(number, self.put_back, NOT_SENT)
        return None

    def counted(self, moves: Iterable[Move]) -> Counters:
        """How moves count: those that are refused count as dead letters, those that go back when they are done."""
        counters = Counters()
        for move in moves:
            if move.state is self.done and move.note != WAS_THERE:
                counters += Counters(updated=1)
            elif move.state in (self.done, ItemState.GONE, ItemState.DRIFTED):
                counters += Counters(skipped=1)
        return counters

    async def _end_pass(self, progress: CampaignProgress) -> None:
        """All variants were looked at: what is left waits for others, or the campaign is done."""
        progress.after, progress.is_first_pass = (0, 0), False
        if progress.error is not None:  # all others were served; those whose call failed are the next run's
            raise progress.error
        async with self._context.database.acquire_for_work() as connection:
            progress.waits = await self.is_waiting(connection, progress.campaign)
        if not progress.waits:
            await self.finish(progress)

    async def read(self, variant_ids: Sequence[int]) -> FreshPrices:
        """Ask Shopify for the present prices of variants."""
        return await read_prices(
            self._context.database, self._shopify, variant_ids, self._meter, self._context.unless_stopped
        )

    async def leave_out(self, progress: CampaignProgress, unread: Mapping[int, str]) -> None:
        """Leave variants whose prices can't be read to the next run, and report each once."""
        news = {number: reason for number, reason in unread.items() if number not in progress.unread}
        if not news:
            return
        progress.unread |= news
        progress.error = unread_error(progress.campaign, progress.unread)
        async with self._context.page(checkpoint=None, pages=0) as page:
            page.reject([_unread(progress.campaign, number, reason) for number, reason in news.items()])

    async def record(self, connection: Connection, campaign: Campaign, writes: Sequence[Write]) -> None:
        """Note what is about to be written, to be committed before it."""
        job_id, run_token = self._context.job.id, self._context.run_token
        await journal.record(connection, campaign.id, self._store, self.action, job_id, run_token, writes)

    def fit(self, points_by_product: Iterable[tuple[int, int]]) -> Iterator[int]:
        """The first of {product: points for reading it} that are read and written in one round, at least one."""
        left = self._shopify.points_in(ROUND_SECONDS)
        for place, (product_id, points) in enumerate(points_by_product):
            left -= points + SMALL_COST
            if left < 0 and place:
                return
            yield product_id

    # What differs

    @abstractmethod
    async def list_due(self, connection: Connection) -> list[Campaign]:
        """The campaigns with something to do, by their start."""

    @abstractmethod
    async def reopen(self) -> bool:
        """Look for campaigns to take up again when none has anything to do; whether any was looked at."""

    @abstractmethod
    async def begin(self, progress: CampaignProgress) -> int:
        """Get ready for a campaign that this run has not dealt with yet; how many variants it will take."""

    @abstractmethod
    async def next_portion(self, progress: CampaignProgress) -> Portion | None:
        """Decide about the next variants and record what is written of them; None at the end of the pass."""

    @abstractmethod
    def put_off(self, outcome: PriceOutcome) -> frozenset[int]:
        """Variants that had another price right before their call: they are decided about again."""

    @abstractmethod
    async def report_refusals(self, connection: Connection) -> None:
        """Show with the campaigns that Shopify refused prices."""

    @abstractmethod
    async def settle_unknown(self, progress: CampaignProgress) -> None:
        """Find out about variants whose results are unknown though no call has failed."""

    @abstractmethod
    async def is_waiting(self, connection: Connection, campaign: Campaign) -> bool:
        """Whether variants are left at the end of a pass."""

    @abstractmethod
    async def finish(self, progress: CampaignProgress) -> None:
        """Move on a campaign that has nothing left to do."""


def unread_error(campaign: Campaign, unread: Mapping[int, str]) -> RowsUnread:
    """The error of a run that has done everything but the variants whose prices can't be read."""
    some, reason = ", ".join(map(str, list(unread)[:MOST_NAMED])), next(iter(unread.values()), "")
    said = ngettext(
        "{n} price of the sale {name} could not be read from Shopify (variants such as {some}): {reason} "
        "Everything else was done; the next run tries these again.",
        "{n} prices of the sale {name} could not be read from Shopify (variants such as {some}): {reason} "
        "Everything else was done; the next run tries these again.",
        len(unread),
    )
    return RowsUnread(said.format(n=number_text(len(unread)), name=campaign.name, some=some, reason=reason))


def _unread(campaign: Campaign, variant_id: int, reason: str) -> DeadLetter:
    payload = orjson.dumps({"campaign": campaign.name, "variant_id": variant_id})
    said = _("Its present price could not be read, so it was left alone: {reason}").format(reason=reason)
    return DeadLetter(str(variant_id), said, payload)


def _refusal(campaign: Campaign, write: Write, error: WriteError) -> DeadLetter:
    payload = {
        "campaign": campaign.name,
        "variant_id": write.variant_id,
        "old_price": amount_text(write.old.price),
        "old_compare_at_price": amount_text_or_none(write.old.compare_at),
        "new_price": amount_text(write.new.price),
        "new_compare_at_price": amount_text_or_none(write.new.compare_at),
    }
    reason = _("Shopify refused to set its price: {message}").format(message=error.message)
    return DeadLetter(str(write.variant_id), reason, orjson.dumps(payload))


def _changes(writes: Sequence[Write]) -> dict[int, list[PriceChange]]:
    changes: dict[int, list[PriceChange]] = {}
    for write in writes:
        change = PriceChange(write.variant_id, write.new.price, write.new.compare_at, expected=write.old)
        changes.setdefault(write.product_id, []).append(change)
    return changes


def _results(outcome: PriceOutcome, put_off: frozenset[int]) -> dict[int, tuple[WriteResult, str | None]]:
    """How the journal's open writes ended; those of a call that failed, or was not confirmed, stay open."""
    results: dict[int, tuple[WriteResult, str | None]] = dict.fromkeys(outcome.applied, (WriteResult.APPLIED, None))
    for number, error in outcome.refused.items():
        results[number] = (WriteResult.REFUSED, _why(error))
    return results | dict.fromkeys(put_off, (WriteResult.UNKNOWN, NOT_SENT))


def _is_gone(error: WriteError) -> bool:
    return error.code in PRICE_GONE_CODES


def _why(error: WriteError) -> str:
    return GONE if _is_gone(error) else _("Shopify refused the price: {message}").format(message=error.message)
