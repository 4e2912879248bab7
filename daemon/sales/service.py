"""Everything that can be done with campaigns: create, preview, start, end, cancel, decide.

The API, the configuration file and the sale clock all come here."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from asyncpg import ExclusionViolationError

from daemon.api.sales import CampaignState, Decision
from daemon.config import SaleSettings
from daemon.database.pool import Connection, Database
from daemon.errors import InvalidSale, SaleConflict, SaleError, SaleNotFound
from daemon.i18n import as_stored, mark, number_text
from daemon.i18n import gettext as _
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.jobs.model import JobRequest, JobTrigger
from daemon.jobs.service import Jobs, Submission
from daemon.jobs.types import JobType
from daemon.mirror import collections as collection_mirror
from daemon.mirror import shopify as shopify_mirror
from daemon.mirror import shops, watermarks
from daemon.money import Currency
from daemon.sales import campaigns, items
from daemon.sales.clocks import Clocks
from daemon.sales.model import Campaign
from daemon.sales.planning import (
    PlannedItem,
    Unmatched,
    list_unmatched,
    period,
    plan,
    portions_of,
    stores_collections,
)
from daemon.sales.preparation import refresh_collections
from daemon.sales.pricing import currency_doubt
from daemon.sources.meter import CallMeter, Rank
from daemon.sources.shopify.client import ShopifyClient

log = structlog.get_logger()

T = TypeVar("T")

NOBODY = CampaignId(UUID(int=0))  # of a campaign that does not exist yet
ATTEMPTS = 5  # others may take the same variants at the same time
PAST = timedelta(minutes=1)  # a start further back is a mistake
READ_TIMEOUT = 20.0  # seconds for reading the collections that a preview needs
RIVALS_NAMED = 3
UNKNOWN_NAMED = 10  # of each kind


@dataclass(frozen=True, slots=True)
class Preview:
    """What a campaign would do if it started now.

    Args:
        unmatched: what its definition names but the shop does not have.
    """

    definition: SaleSettings
    items: list[PlannedItem]
    unmatched: Unmatched = field(default_factory=dict)

    @property
    def on_sale(self) -> int:
        """How many variants it would put on sale."""
        return sum(item.sale is not None and item.rival is None for item in self.items)

    @property
    def skipped(self) -> dict[str, int]:
        """How many variants it would skip, by reason."""
        return _counted(item.reason for item in self.items)

    @property
    def conflicts(self) -> dict[str, int]:
        """How many variants other campaigns hold at an overlapping time, by their names."""
        return _counted(item.rival for item in self.items)


class Sales:
    """The campaigns of one database.

    Args:
        jobs: where APPLY_SALE and REVERT_SALE are submitted.
        shopify_of: the client of a store; raises InvalidJobRequest for a store that has none.
        zone: the shop's time zone.
        clock: the present time, aware UTC.
        currency_of: the currency of Nhanh.vn's amounts in a store; None where it has no Nhanh.vn.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        shopify_of: Callable[[StoreName], ShopifyClient],
        zone: Callable[[], ZoneInfo],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        currency_of: Callable[[StoreName], Currency | None] = lambda _: None,
    ) -> None:
        self._currency_of = currency_of
        self._database = database
        self._jobs = jobs
        self._shopify_of = shopify_of
        self._zone = zone
        self.clock = clock
        self.clocks = Clocks(database, shopify_of)

    async def find(self, reference: str, store: StoreName | None = None) -> Campaign:
        """A campaign by its id, or by its name: the open one, else the last. Raises SaleNotFound, SaleConflict."""
        async with self._database.acquire() as connection:
            found = await campaigns.find(connection, SaleName(reference), store)
            if not found and (number := _uuid(reference)) is not None:
                found = [campaign] if (campaign := await campaigns.get(connection, CampaignId(number))) else []
        if not found:
            raise SaleNotFound(_("There is no such sale. `dongbo sale list` shows all sales."))
        if len(found) > 1:
            stores = " and ".join(sorted(campaign.store for campaign in found))
            raise SaleConflict(
                _("There is a sale {reference} in {stores}: choose one with --store.").format(
                    reference=reference, stores=stores
                )
            )
        return found[0]

    def read(self, definition: SaleSettings) -> SaleSettings:
        """A definition with its times in UTC; raises InvalidSale where they don't fit."""
        if definition.targets.skus_file or definition.excludes.skus_file:
            raise InvalidSale(_("skus_file is for the configuration file only: send the SKUs themselves as skus."))
        try:
            return definition.in_zone(self._zone())
        except ValueError as error:
            raise InvalidSale(f"{error}.") from error

    async def preview(self, definition: SaleSettings, campaign_id: CampaignId = NOBODY) -> Preview:
        """What a definition (with times in UTC) would do now; the items of `campaign_id` are not conflicts.

        Raises InvalidSale, InvalidJobRequest, and SourceError if a collection has to be read first.
        """
        self._check_end(definition)
        await self._learn_collections(definition)
        held = period(definition.starts, definition.ends, self.clock())
        async with self._database.acquire() as connection:
            await self._check_currency(connection, definition)
            planned = await plan(connection, definition, campaign_id, held)
            return Preview(definition, planned, await list_unmatched(connection, definition))

    async def create(self, definition: SaleSettings, origin: str, *, is_draft: bool = False) -> Campaign:
        """Create a campaign from a definition with times in UTC, and plan it; one whose start has come starts at once.

        Raises InvalidSale, SaleConflict (with the names of both campaigns), InvalidJobRequest, SourceError.
        """
        now = self.clock()
        if definition.starts is not None and definition.starts < now - PAST:
            raise InvalidSale(
                _("Its start, {time}, has passed: leave out starts to start now, or set a later one.").format(
                    time=self._shown(definition.starts)
                )
            )
        self._check_end(definition)
        begins = not is_draft and _has_come(definition.starts, now)
        if begins and (problem := await self.clocks.problem(definition.store)) is not None:
            raise SaleConflict(problem)
        await self._learn_collections(definition)

        async def insert(connection: Connection) -> tuple[Campaign, Submission | None]:
            campaign = await campaigns.insert(connection, definition, origin)
            if campaign is None:
                raise SaleConflict(
                    _(
                        "{store} already has a sale {name} that has not ended: cancel it first, or choose another name."
                    ).format(store=definition.store, name=definition.name)
                )
            return (campaign, None) if is_draft else await self.schedule_in(connection, campaign, now)

        return await self._carry_out(insert, ActionKind.CREATE_SALE)

    async def schedule(self, campaign: Campaign) -> Campaign:
        """Plan a DRAFT; one whose start has come starts at once if the clock is right. Raises as `create`."""
        await self._learn_collections(campaign.definition)
        now = self.clock()
        may_begin = _has_come(campaign.starts_at, now) and await self.knows_time(campaign.store)
        return await self._carry_out(
            lambda connection: self.schedule_in(connection, campaign, now, may_begin=may_begin), ActionKind.START_SALE
        )

    async def knows_time(self, store: StoreName) -> bool:
        """Whether this machine's clock is reliable."""
        return await self.clocks.problem(store) is None

    async def recall_in(
        self, connection: Connection, campaign: Campaign, now: datetime
    ) -> tuple[Campaign, Submission | None]:
        """Take back a campaign that a wrong clock started too early, in the caller's transaction."""
        await campaigns.set_recalled(connection, campaign.id)
        detail = mark("taken back: a wrong clock had started it early; it starts again on time")
        return await self.begin_end_in(connection, campaign, now, detail)

    async def plan_again(self, campaign: Campaign) -> Campaign:
        """Plan a new campaign in place of one that a wrong clock started or ended.

        Unless its end has passed; one whose start has come starts at once.
        """

        async def again(connection: Connection) -> tuple[Campaign, Submission | None]:
            now, present = self.clock(), await self._locked(connection, campaign)
            await campaigns.set_replanned(connection, present.id, now)
            if present.ends_at is not None and present.ends_at <= now:
                return present, None
            await campaigns.note(connection, present.id, mark("planned again: a wrong clock had started or ended it"))
            made = await campaigns.insert(connection, present.definition, present.origin)
            if made is None:  # there is another one of its name now
                return present, None
            try:
                async with connection.transaction():
                    return await self.schedule_in(connection, made, now)
            except SaleError as error:
                await campaigns.set_notice(connection, made.id, str(error))
                return made, None

        return await self._carry_out(again, None)

    async def start_now(self, campaign: Campaign) -> Campaign:
        """Start a DRAFT or SCHEDULED campaign now. Raises as `create`."""
        await self._learn_collections(campaign.definition)
        if (problem := await self.clocks.problem(campaign.store)) is not None:
            raise SaleConflict(problem)

        async def start(connection: Connection) -> tuple[Campaign, Submission | None]:
            now, present = self.clock(), await self._locked(connection, campaign)
            if present.state not in (CampaignState.DRAFT, CampaignState.SCHEDULED):
                raise SaleConflict(
                    _("The sale {name} is {state}: it can't be started.").format(name=present.name, state=present.state)
                )
            if present.ends_at is not None and present.ends_at <= now:
                raise InvalidSale(
                    _("Its end, {time}, has passed: set another end first.").format(time=self._shown(present.ends_at))
                )
            await campaigns.set_times(connection, present.id, now, present.ends_at)
            await campaigns.note(connection, present.id, mark("started by a person"))
            if present.state is CampaignState.SCHEDULED:
                await campaigns.move(connection, present.id, [present.state], CampaignState.DRAFT, now)
            return await self.schedule_in(connection, await self._locked(connection, present), now)

        return await self._carry_out(start, ActionKind.START_SALE)

    async def end_now(self, campaign: Campaign, *, is_cancelled: bool = False) -> Campaign:
        """Take a running campaign back. Raises SaleConflict if it is not running."""

        async def end(connection: Connection) -> tuple[Campaign, Submission | None]:
            present = await self._locked(connection, campaign)
            if present.state not in (CampaignState.APPLYING, CampaignState.ACTIVE):
                raise SaleConflict(
                    _("The sale {name} is {state}: there is nothing to take back.").format(
                        name=present.name, state=present.state
                    )
                )
            if is_cancelled:
                await campaigns.set_cancelled(connection, present.id)
            what = mark("cancelled by a person") if is_cancelled else mark("ended by a person")
            # A machine whose clock is ahead would else say that its end had come, which others take for a mistake.
            now = await campaigns.database_time(connection)
            return await self.begin_end_in(connection, present, now, what, JobTrigger.API)

        return await self._carry_out(end, ActionKind.CANCEL_SALE if is_cancelled else ActionKind.END_SALE)

    async def cancel(self, campaign: Campaign) -> Campaign:
        """Cancel a campaign; one that is running is taken back. Raises SaleConflict for one that is over."""
        if campaign.state in (CampaignState.APPLYING, CampaignState.ACTIVE):
            return await self.end_now(campaign, is_cancelled=True)

        async def cancel(connection: Connection) -> tuple[Campaign, Submission | None]:
            present = await self._locked(connection, campaign)
            if present.state not in (CampaignState.DRAFT, CampaignState.SCHEDULED):
                raise SaleConflict(
                    _("The sale {name} is {state}: it can't be cancelled.").format(
                        name=present.name, state=present.state
                    )
                )
            return await self.close_in(
                connection, present, CampaignState.CANCELLED, mark("cancelled by a person")
            ), None

        return await self._carry_out(cancel, ActionKind.CANCEL_SALE)

    async def resume(
        self, campaign: Campaign, decision: Decision | None = None, variant_ids: Sequence[int] | None = None
    ) -> Campaign:
        """Continue a campaign that waits for a person, after deciding about drifted variants (None: all of them).

        Without a decision, what Shopify refused is tried again. A DRAFT is planned. Raises SaleConflict if there is
        nothing to decide or continue.
        """
        if campaign.state is CampaignState.DRAFT:
            return await self.schedule(campaign)

        async def resume(connection: Connection) -> tuple[Campaign, Submission | None]:
            present = await self._locked(connection, campaign)
            if present.state is not CampaignState.NEEDS_ATTENTION:
                raise SaleConflict(
                    _("The sale {name} is {state}: it does not need a decision.").format(
                        name=present.name, state=present.state
                    )
                )
            if decision is not None:
                decided = await items.decide(connection, present.id, decision, variant_ids)
                missing = set(variant_ids or ()).difference(decided)
                if missing or not decided:
                    which = ", ".join(map(str, sorted(missing)[:10])) or _("any variant")
                    raise SaleConflict(
                        _("There is nothing to decide about {which} in the sale {name}.").format(
                            which=which, name=present.name
                        )
                    )
                with as_stored():
                    decided_so = (
                        _("decided by a person: keep {n} prices")
                        if decision is Decision.KEEP
                        else _("decided by a person: restore {n} prices")
                    )
                    detail = decided_so.format(n=number_text(len(decided)))
            else:
                detail = mark("resumed by a person")
            now = await campaigns.database_time(connection)
            moved = await campaigns.move(
                connection, present.id, [present.state], CampaignState.REVERTING, now, detail=detail
            )
            submission = await self._submit(connection, present.store, JobType.REVERT_SALE, JobTrigger.API)
            return moved or present, submission

        return await self._carry_out(resume, ActionKind.DECIDE_SALE)

    async def schedule_in(
        self, connection: Connection, campaign: Campaign, now: datetime, *, may_begin: bool = True
    ) -> tuple[Campaign, Submission | None]:
        """Plan a DRAFT in the caller's transaction, and begin it if its start has come and `may_begin`."""
        present = await self._locked(connection, campaign)
        if present.state is not CampaignState.DRAFT:
            return present, None
        if present.ends_at is not None and present.ends_at <= now:
            raise InvalidSale(
                _("Its end, {time}, has passed: set a later one.").format(time=self._shown(present.ends_at))
            )
        await self._require_full_pull(connection, present.store)
        await self._check_currency(connection, present.definition)
        held = period(present.starts_at, present.ends_at, now)
        planned = await plan(connection, present.definition, present.id, held)
        self._check_plan(present.definition, planned)
        for portion in portions_of(planned):
            await items.write_plan(connection, present.id, present.store, held, portion)
        await campaigns.set_prepared(connection, present.id, None, len(planned))
        unmatched = await list_unmatched(connection, present.definition)
        with as_stored():
            detail = _("planned for {n} variants").format(n=number_text(len(planned))) + _not_there(unmatched)
        moved = await campaigns.move(
            connection, present.id, [CampaignState.DRAFT], CampaignState.SCHEDULED, now, detail=detail
        )
        if moved is not None and unmatched:
            log.warning("sale_names_unknown", sale=moved.name, store=moved.store, **_named(unmatched))
        scheduled = moved or present
        if may_begin and _has_come(scheduled.starts_at, now):
            return await self.begin_in(connection, scheduled, now, "started")
        return scheduled, None

    async def begin_in(
        self, connection: Connection, campaign: Campaign, now: datetime, detail: str
    ) -> tuple[Campaign, Submission | None]:
        """Begin a SCHEDULED campaign in the caller's transaction, and submit the job that puts it on sale."""
        if campaign.starts_at is None:
            await campaigns.set_times(connection, campaign.id, now, campaign.ends_at)
        moved = await campaigns.move(
            connection, campaign.id, [CampaignState.SCHEDULED], CampaignState.APPLYING, now, detail=detail
        )
        if moved is None:
            return campaign, None
        return moved, await self._submit(connection, moved.store, JobType.APPLY_SALE, JobTrigger.SCHEDULE)

    async def begin_end_in(
        self,
        connection: Connection,
        campaign: Campaign,
        now: datetime,
        detail: str,
        trigger: JobTrigger = JobTrigger.SCHEDULE,
    ) -> tuple[Campaign, Submission | None]:
        """Begin to take a running campaign back in the caller's transaction, and submit the job that does it."""
        running = [CampaignState.APPLYING, CampaignState.ACTIVE]
        moved = await campaigns.move(
            connection, campaign.id, running, CampaignState.REVERTING, now, detail=detail, keeps_notice=True
        )
        if moved is None:
            return campaign, None
        return moved, await self._submit(connection, moved.store, JobType.REVERT_SALE, trigger)

    async def close_in(self, connection: Connection, campaign: Campaign, to: CampaignState, notice: str) -> Campaign:
        """End a campaign that has not begun, in the caller's transaction."""
        waiting = [CampaignState.DRAFT, CampaignState.SCHEDULED]
        moved = await campaigns.move(connection, campaign.id, waiting, to, self.clock(), notice=notice)
        if moved is None:  # it has just begun
            return await self._locked(connection, campaign)
        await items.close_planned(connection, campaign.id, notice)
        return moved

    async def submit(self, store: StoreName, job_type: JobType) -> Submission:
        """Submit a job of the sales of a store."""
        async with self._database.acquire() as connection, connection.transaction():
            submission = await self._submit(connection, store, job_type, JobTrigger.SCHEDULE)
        self.announce(submission)
        return submission

    def announce(self, submission: Submission | None) -> None:
        """Announce a job, after the commit of what submitted it."""
        if submission is not None and submission.is_new:
            self._jobs.announce(submission.job)

    async def _submit(
        self, connection: Connection, store: StoreName, job_type: JobType, trigger: JobTrigger
    ) -> Submission:
        return await self._jobs.submit_in(connection, JobRequest(job_type, store, trigger, {}))

    async def _carry_out(
        self, act: Callable[[Connection], Awaitable[tuple[Campaign, Submission | None]]], kind: ActionKind | None
    ) -> Campaign:
        """Do something in one transaction; once more if another campaign takes the same variants meanwhile.

        `kind`: what it is where a person does it; None where only the daemon does.
        """
        for _attempt in range(ATTEMPTS):
            try:
                async with self._database.acquire() as connection, connection.transaction():
                    campaign, submission = await act(connection)
                    if kind is not None:
                        job_id = submission.job.id if submission is not None else None
                        subject = SubjectKind.SALE, campaign.name
                        await actions.note(connection, kind, campaign.store, *subject, job_id=job_id)
            except ExclusionViolationError:
                continue
            self.announce(submission)
            log.info("sale_changed", sale=campaign.name, store=campaign.store, state=str(campaign.state))
            return campaign
        raise SaleConflict(_("Other campaigns are taking the same variants right now: try again."))

    async def _locked(self, connection: Connection, campaign: Campaign) -> Campaign:
        present = await campaigns.lock(connection, campaign.id)
        if present is None:
            raise SaleNotFound(_("The sale {name} no longer exists.").format(name=campaign.name))
        return present

    async def _learn_collections(self, definition: SaleSettings) -> None:
        """Read the collections that a definition names, unless they were read lately."""
        client = self._shopify_of(definition.store)
        store, references = stores_collections(definition)
        if not references:
            return

        async def wait(call: Awaitable[T]) -> T:
            async with asyncio.timeout(READ_TIMEOUT):
                return await call

        meter = CallMeter(rank=Rank.SALE)
        try:
            await refresh_collections(self._database, client, store, references, meter, wait)
        except TimeoutError:
            raise SaleConflict(_("Shopify did not list the collections' products in time: try again.")) from None
        async with self._database.acquire() as connection:
            missing = await collection_mirror.list_missing(connection, store, references)
        if missing:
            raise InvalidSale(
                _("Shopify has no collection {missing}: use its handle, the last part of its address.").format(
                    missing=", ".join(missing)
                )
            )

    async def _require_full_pull(self, connection: Connection, store: StoreName) -> None:
        """Raise InvalidSale if the mirror has only a part of the shop: a plan would leave the rest out."""
        known = await watermarks.get(connection, store, shopify_mirror.PRODUCTS.name)
        if known is None or known.full_pull_at is None:
            raise InvalidSale(
                _(
                    "Shopify's products have not been pulled in full yet, so its variants are not known: run `dongbo "
                    "pull shopify-products --store {store}`."
                ).format(store=store)
            )

    async def _check_currency(self, connection: Connection, definition: SaleSettings) -> None:
        """Raise InvalidSale for sums of money if the shop's currency differs from Nhanh.vn's."""
        known, expected = await shops.get(connection, definition.store), self._currency_of(definition.store)
        if known is None or expected is None:
            return
        if (doubt := currency_doubt(definition, known.currency, expected)) is not None:
            raise InvalidSale(doubt)

    def _check_end(self, definition: SaleSettings) -> None:
        if definition.ends is not None and definition.ends <= self.clock():
            raise InvalidSale(
                _("Its end, {time}, has passed: set a later one.").format(time=self._shown(definition.ends))
            )

    def shown(self, moment: datetime | None) -> str:
        """An end as shown to people, in the shop's time."""
        return _("a person ends it") if moment is None else self._shown(moment)

    def _check_plan(self, definition: SaleSettings, planned: Sequence[PlannedItem]) -> None:
        preview = Preview(definition, list(planned))
        if preview.conflicts:
            named = [
                _("{name} ({n} variants)").format(name=name, n=number_text(count))
                for name, count in preview.conflicts.items()
            ]
            examples = ", ".join(item.sku or str(item.variant_id) for item in planned if item.rival)[:200]
            raise SaleConflict(
                _(
                    "The sale {name} can't hold variants that another campaign holds at an overlapping time: {named}, "
                    "such as {examples}. Change the times, exclude these variants, or, if that one is over, decide "
                    "about its prices first (`dongbo sale resume`)."
                ).format(name=definition.name, named=", ".join(named[:RIVALS_NAMED]), examples=examples)
            )
        if not planned:
            raise InvalidSale(
                _(
                    "No variant matches the targets of the sale {name}: check them, and pull Shopify's products if "
                    "they are new."
                ).format(name=definition.name)
            )
        if not preview.on_sale:
            reasons = "; ".join(
                f"{number_text(count)}: {reason}" for reason, count in list(preview.skipped.items())[:RIVALS_NAMED]
            )
            raise InvalidSale(
                _("None of its {n} variants would go on sale ({reasons}).").format(
                    n=number_text(len(planned)), reasons=reasons
                )
            )

    def _shown(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._zone()):%Y-%m-%d %H:%M:%S}"


def _counted(names: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(name for name in names if name is not None).most_common())


def _has_come(starts: datetime | None, now: datetime) -> bool:
    """Whether a start is due; None: at once."""
    return starts is None or starts <= now


def _named(unmatched: Unmatched) -> dict[str, str]:
    """What matches nothing, as shown to people: {"targets_skus": "AO-1, AO-2"}."""
    return {
        f"{part}_{kind}": ", ".join(map(str, names[:UNKNOWN_NAMED]))
        + (_(" and {n} more").format(n=number_text(len(names) - UNKNOWN_NAMED)) if len(names) > UNKNOWN_NAMED else "")
        for part, kinds in unmatched.items()
        for kind, names in kinds.items()
    }


def _not_there(unmatched: Unmatched) -> str:
    named = "; ".join(f"{key.replace('_', ' ')} {names}" for key, names in _named(unmatched).items())
    return _("; nothing in the shop matches {named}").format(named=named) if named else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
