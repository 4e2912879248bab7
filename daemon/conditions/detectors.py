"""What can be wrong: one detector a condition, each over the facts of one look. A new one is a function and a row.

The texts are in the language that is spoken while a detector runs. A detector says what is wrong and what to do, and
since when: from the data, or, where that keeps no time of it, from what the daemon remembers (`Scene.since`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.api.sales import CampaignState
from daemon.conditions.facts import ConditionKey, StoreFacts, StreamKey, Trouble
from daemon.conditions.scene import Scene, SourceTrouble
from daemon.conditions.streams import PULLS, PUSHES, Standing
from daemon.conditions.words import clause, source_name, span, time_of_day
from daemon.i18n import day_text, ngettext, number_text
from daemon.i18n import gettext as _
from daemon.ids import ScheduleName, StoreName
from daemon.jobs.types import BOTH, JobType
from daemon.jobs.words import job_name
from daemon.sales.clocks import MOST_APART
from daemon.sources.credential import ENDS_SOON

Detector = Callable[[Scene], Iterator[Condition]]

WARN, BAD = ConditionSeverity.WARN, ConditionSeverity.BAD
OVERDUE_AFTER: Final = timedelta(minutes=1)  # a sale starts within seconds of its time
CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def source_unreachable(scene: Scene) -> Iterator[Condition]:
    """A source that does not answer, or with nonsense."""
    for trouble in _troubles(scene, ConditionName.SOURCE_UNREACHABLE):
        yield _condition(
            ConditionKey(trouble.store, trouble.name, trouble.source),
            BAD,
            since=trouble.since,
            text=_("{source} can't be reached").format(source=source_name(trouble.source)),
            cause=clause(trouble.reason),
            next_step=_(
                "The daemon goes on trying. If others reach it, look at this machine's network, its proxy and the "
                "base_url of the configuration."
            ),
        )


def credential_refused(scene: Scene) -> Iterator[Condition]:
    """A source that does not accept the token or secret."""
    for trouble in _troubles(scene, ConditionName.CREDENTIAL_REFUSED):
        yield _condition(
            ConditionKey(trouble.store, trouble.name, trouble.source),
            BAD,
            since=trouble.since,
            text=_("{source} refuses the credential").format(source=source_name(trouble.source)),
            cause=clause(trouble.reason),
            next_step=_("Get a new one: `dongbo connect {source} --store {store}`.").format(
                source=trouble.source, store=trouble.store
            ),
            needs_person=True,
        )


def scopes_missing(scene: Scene) -> Iterator[Condition]:
    """What the jobs of the configuration need at Shopify, and may not do."""
    for report in scene.facts.credentials:
        if report.missing_scopes:
            key = ConditionKey(report.store, ConditionName.SCOPES_MISSING, report.source)
            yield _condition(
                key,
                WARN,
                since=scene.since(key, seen=scene.facts.now),
                text=_("Shopify has not granted {scopes}").format(scopes=", ".join(report.missing_scopes)),
                next_step=_(
                    "Add them to the scopes of the app's version in the Dev Dashboard, release that, and approve it."
                ),
                needs_person=True,
            )


def credential_expiring(scene: Scene) -> Iterator[Condition]:
    """A token that a person must renew soon."""
    now, zone = scene.facts.now, scene.facts.zone
    for report in scene.facts.credentials:
        if report.expires_at is None or report.expires_at - now >= ENDS_SOON:
            continue
        is_over = report.expires_at <= now
        said = (
            _("The access token of {source} expired on {day}")
            if is_over
            else _("The access token of {source} expires on {day}")
        )
        yield _condition(
            ConditionKey(report.store, ConditionName.CREDENTIAL_EXPIRING, report.source),
            BAD if is_over else WARN,
            since=report.expires_at - ENDS_SOON,
            text=said.format(source=source_name(report.source), day=day_text(report.expires_at, zone)),
            next_step=_("Get a new one: `dongbo connect {source} --store {store}`.").format(
                source=report.source, store=report.store
            ),
            needs_person=True,
        )


def failing(scene: Scene) -> Iterator[Condition]:
    """Jobs that fail for another reason than that a source gives nothing, be they of a stream or not."""
    for stream in scene.streams:
        if stream.facts.trouble is not None and not stream.unreachable:
            schedule = stream.expectation.schedule.name if stream.expectation is not None else None
            told = _failing(stream.key, stream.facts.trouble, is_late=stream.is_late)
            yield replace(told, stream=stream.key.type, schedule=schedule)
    for jobs in scene.other_troubles:
        if jobs.trouble is not None:
            yield _failing(jobs.key, jobs.trouble, is_late=False)


def late(scene: Scene) -> Iterator[Condition]:
    """A stream that was not complete in time, where nothing else that is known explains it."""
    for stream in scene.streams:
        explained = stream.facts.trouble is not None or stream.unreachable or stream.question is not None
        if stream.late_since is None or explained:
            continue
        length = span(scene.facts.now - stream.late_since)
        name = job_name(stream.key.type)
        yield _of_stream(
            stream,
            ConditionName.LATE,
            WARN,
            since=stream.late_since,
            text=_("{stream}: {length} late").format(stream=name, length=length),
            cause=_("Its job is still running") if stream.facts.is_running else None,
            next_step=_("Look at its newest job, and whether the daemon takes jobs (`dongbo doctor`)."),
            job_id=stream.facts.newest,
        )


def rows_failing(scene: Scene) -> Iterator[Condition]:
    """Rows that could not be stored or pushed, and that nothing has repaired."""
    for stream in scene.streams:
        if (unstored := stream.facts.unstored) is None:
            continue
        if stream.key.type in PUSHES:
            said = ngettext(
                "{stream}: {n} row could not be pushed", "{stream}: {n} rows could not be pushed", unstored.rows
            )
        else:
            said = ngettext("{stream}: {n} row can't be stored", "{stream}: {n} rows can't be stored", unstored.rows)
        yield _of_stream(
            stream,
            ConditionName.ROWS_FAILING,
            WARN,
            since=unstored.since,
            text=said.format(stream=job_name(stream.key.type), n=number_text(unstored.rows)),
            cause=clause(unstored.reason),
            next_step=_("Look at why the rows failed; the next run tries them anew.")
            if stream.key.type in PUSHES
            else _("Look at the rows, correct them where they come from, then try them again."),
            job_id=unstored.job_id,
            needs_person=True,
        )


def approval_waiting(scene: Scene) -> Iterator[Condition]:
    """What a person is asked before it is pushed."""
    for question in scene.database.questions:
        if question.changes is not None:
            text = ngettext(
                "{n} change waits for your approval", "{n} changes wait for your approval", question.changes
            ).format(n=number_text(question.changes))
        else:
            text = _("{stream}: waits for your approval").format(stream=job_name(question.type))
        yield _condition(
            ConditionKey(question.store, ConditionName.APPROVAL_WAITING, question.type),
            WARN,
            since=question.since,
            text=text,
            cause=question.asked.reason() if question.asked is not None else question.reason or None,
            next_step=_("Look at the changes, then approve or reject them."),
            stream=question.type,
            job_id=question.job_id,
            approval_id=question.approval_id,
            needs_person=True,
        )


def location_closed(scene: Scene) -> Iterator[Condition]:
    """A configured location that can receive no stock."""
    for places in scene.database.left_out:
        for place in places.locations:
            key = ConditionKey(places.store, ConditionName.LOCATION_CLOSED, str(place))
            yield _condition(
                key,
                WARN,
                since=scene.since(key, seen=scene.facts.now),
                text=_("Location {place} of Shopify can receive no stock and is left out").format(
                    place=_named(scene, places.store, place)
                ),
                next_step=_("Open it again at Shopify, or take it out of the configuration."),
                stream=JobType.SYNC_PRODUCTS,
                needs_person=True,
            )


def depot_hidden(scene: Scene) -> Iterator[Condition]:
    """A configured depot whose stock can't be read."""
    for places in scene.database.left_out:
        for place in places.depots:
            key = ConditionKey(places.store, ConditionName.DEPOT_HIDDEN, str(place))
            yield _condition(
                key,
                WARN,
                since=scene.since(key, seen=scene.facts.now),
                text=_("Depot {place} of Nhanh.vn can't be read; the locations that it feeds are left out").format(
                    place=_named(scene, places.store, place)
                ),
                next_step=_(
                    "Let the access token see all depots (`dongbo connect nhanh`), or take it out of the configuration."
                ),
                stream=JobType.SYNC_PRODUCTS,
                needs_person=True,
            )


def sale_overdue(scene: Scene) -> Iterator[Condition]:
    """A sale that should have started or ended by now."""
    now = scene.facts.now
    for sale in scene.database.open_sales:
        edges = {
            "start": (sale.overdue_start(now), _("Sale {sale} should have started at {time}")),
            "end": (sale.overdue_end(now), _("Sale {sale} should have ended at {time}")),
        }
        for edge, (seconds, said) in edges.items():
            if timedelta(seconds=seconds) < OVERDUE_AFTER:
                continue
            since = now - timedelta(seconds=seconds)
            yield _condition(
                ConditionKey(sale.store, ConditionName.SALE_OVERDUE, f"{sale.name}/{edge}"),
                BAD,
                since=since,
                text=said.format(sale=sale.name, time=time_of_day(since, now, scene.facts.zone)),
                cause=scene.facts.sale_clock_problem or sale.notice,
                next_step=_("Look at the sale and its newest job; it goes on by itself once the cause is gone."),
                sale=sale.name,
                needs_person=True,
            )


def sale_decision(scene: Scene) -> Iterator[Condition]:
    """A sale that is over, with prices about which a person must decide."""
    database = scene.database
    for sale in database.open_sales:
        if sale.state is not CampaignState.NEEDS_ATTENTION:
            continue
        key = ConditionKey(sale.store, ConditionName.SALE_DECISION, sale.name)
        prices = database.drifted.get(sale.id, 0)
        if prices:
            said = ngettext(
                "{n} price of sale {sale} waits for your decision",
                "{n} prices of sale {sale} wait for your decision",
                prices,
            )
        else:
            said = _("Sale {sale} waits for your decision")
        yield _condition(
            key,
            WARN,
            since=scene.since(key, seen=sale.changed_at),
            text=said.format(n=number_text(prices), sale=sale.name),
            cause=sale.notice,
            next_step=_("Say of each price whether it stays or goes back."),
            sale=sale.name,
            needs_person=True,
        )


def clocks_apart(scene: Scene) -> Iterator[Condition]:
    """A clock of a source or of the database that differs from this machine's."""
    for clock in scene.facts.clocks:
        key = ConditionKey(clock.store, ConditionName.CLOCKS_APART, clock.source)
        yield from _clock_apart(scene, key, source_name(clock.source), clock.offset_seconds)
    key = ConditionKey(None, ConditionName.CLOCKS_APART, "database")
    yield from _clock_apart(scene, key, _("the database"), scene.facts.slow.clock_offset)


def schedule_paused(scene: Scene) -> Iterator[Condition]:
    """A schedule that a person has paused."""
    memories = scene.database.schedules
    for schedule in scene.facts.schedules:
        memory = memories.get(schedule.name)
        if memory is None or memory.paused_at is None:
            continue
        yield _condition(
            ConditionKey(schedule.store, ConditionName.SCHEDULE_PAUSED, schedule.name),
            WARN,
            since=memory.paused_at,
            text=_("Schedule {schedule} is paused").format(schedule=schedule.name),
            next_step=_("Resume it when its job is to run again."),
            schedule=schedule.name,
        )


def database_away(scene: Scene) -> Iterator[Condition]:
    """The database does not answer."""
    if (outage := scene.facts.outage) is not None:
        yield _condition(
            ConditionKey(None, ConditionName.DATABASE_AWAY, ""),
            BAD,
            since=outage.since,
            text=_("The database does not answer"),
            cause=clause(outage.reason),
            next_step=_("Start PostgreSQL, or look at its log; the daemon goes on by itself when it is back."),
        )


def database_slow(scene: Scene) -> Iterator[Condition]:
    """The database was read too long ago, though it answers: what is said is of then."""
    if scene.is_known and scene.facts.judged_at < scene.facts.now:
        read_at = scene.database.read_at
        time = time_of_day(read_at, scene.facts.now, scene.facts.zone)
        yield _condition(
            ConditionKey(None, ConditionName.DATABASE_SLOW, ""),
            WARN,
            since=read_at,
            text=_("The database answers too slowly: what is said here is as of {time}").format(time=time),
            next_step=_("Look at what else this machine and PostgreSQL are doing."),
        )


def nothing_pulled(scene: Scene) -> Iterator[Condition]:
    """A store of which nothing has been pulled yet."""
    if not scene.is_known:
        return
    for store in scene.facts.stores:
        if has_pulled(scene, store):
            continue
        key = ConditionKey(store.name, ConditionName.NOTHING_PULLED, "")
        is_scheduled = any(stream.schedules for stream in scene.streams_of(store.name) if stream.key.type in PULLS)
        yield _condition(
            key,
            WARN,
            since=scene.since(key, seen=scene.facts.now),
            text=_("Nothing has been pulled yet"),
            next_step=_("Wait for the first run by schedule, or start a pull now.")
            if is_scheduled
            else _("Start a pull, and add [[schedules]] to the configuration so that it is repeated."),
            needs_person=not is_scheduled,
        )


def nothing_pushed(scene: Scene) -> Iterator[Condition]:
    """A store with both sources of which nothing reaches Shopify."""
    if not scene.is_known:
        return
    for store in scene.facts.stores:
        gap = _gap_before_shopify(scene, store)
        if gap is None:
            continue
        text, keys = gap
        key = ConditionKey(store.name, ConditionName.NOTHING_PUSHED, "")
        yield _condition(
            key,
            WARN,
            since=scene.since(key, seen=scene.facts.now),
            text=text,
            next_step=_("Add to the configuration: {keys}.").format(keys=keys),
            needs_person=True,
        )


DETECTORS: Final[tuple[Detector, ...]] = (
    database_away,
    database_slow,
    source_unreachable,
    credential_refused,
    failing,
    late,
    sale_overdue,
    sale_decision,
    approval_waiting,
    rows_failing,
    location_closed,
    depot_hidden,
    scopes_missing,
    credential_expiring,
    clocks_apart,
    nothing_pulled,
    nothing_pushed,
    schedule_paused,
)
"""In the order in which a person would want to know of them."""


def detect(scene: Scene) -> list[Condition]:
    """Everything that holds now; what is bad comes first."""
    found = [condition for detector in DETECTORS for condition in detector(scene)]
    return sorted(found, key=lambda condition: condition.severity is not BAD)


def _failing(key: StreamKey, trouble: Trouble, *, is_late: bool) -> Condition:
    said = _("{stream}: failing") if trouble.has_failed else _("{stream}: being tried again")
    return _condition(
        ConditionKey(key.store, ConditionName.FAILING, key.type),
        BAD if trouble.has_failed or is_late else WARN,
        since=trouble.since,
        text=said.format(stream=job_name(key.type)),
        cause=clause(trouble.cause),
        next_step=_("It is tried again by itself.")
        if trouble.is_tried_again
        else _("Remove the cause, then retry the job; the next run by schedule will try it, too."),
        job_id=trouble.job_id,
        needs_person=not trouble.is_tried_again,
    )


def _named(scene: Scene, store: StoreName, place: int) -> str:
    """A location or depot by its name, and its number, which is what the configuration has."""
    name = scene.database.place_names.get(store, {}).get(place)
    return f"{name} ({place})" if name else str(place)


def has_pulled(scene: Scene, store: StoreFacts) -> bool:
    """Whether anything of a store has been complete once."""
    known = scene.database.streams
    return any(
        stream.last is not None for key, stream in known.items() if key.store == store.name and key.type in PULLS
    )


def _gap_before_shopify(scene: Scene, store: StoreFacts) -> tuple[str, str] | None:
    """What keeps all of a store from Shopify, and the keys that are missing; None where nothing does, or nothing can
    be pushed there."""
    if not store.sources.issuperset(BOTH):
        return None
    sync = store.product_sync
    if store.customer_sync is None and (sync is None or not (sync.locations or sync.price or sync.compare_at_price)):
        text = _("Nothing is pushed to Shopify with this configuration")
        return text, f"locations, price ([stores.{store.name}.product_sync])"
    pushes = [stream for stream in scene.streams_of(store.name) if stream.key.type in PUSHES]
    if any(stream.schedules or stream.facts.newest is not None for stream in pushes):
        return None
    schedule = '[[schedules]] kind = "product"' if sync is not None else '[[schedules]] job = "SYNC_CUSTOMERS"'
    return _("Nothing has been pushed to Shopify yet, and no schedule does so"), schedule


def _clock_apart(scene: Scene, key: ConditionKey, whose: str, seconds: float) -> Iterator[Condition]:
    apart = timedelta(seconds=abs(seconds))
    if apart <= CLOCK_TOLERANCE:
        return
    said = (
        _("The clock of {whose} is {seconds} s ahead of this machine's")
        if seconds > 0
        else _("The clock of {whose} is {seconds} s behind this machine's")
    )
    yield _condition(
        key,
        BAD if apart > MOST_APART else WARN,
        since=scene.since(key, seen=scene.facts.now),
        text=said.format(whose=whose, seconds=f"{abs(seconds):.0f}"),
        cause=scene.facts.sale_clock_problem,
        next_step=_("Let this machine set its clock by NTP: `timedatectl set-ntp true`."),
        needs_person=True,
    )


def _troubles(scene: Scene, name: ConditionName) -> Iterator[SourceTrouble]:
    return (trouble for trouble in scene.source_troubles if trouble.name is name)


def _of_stream(
    stream: Standing,
    name: ConditionName,
    severity: ConditionSeverity,
    *,
    since: datetime,
    text: str,
    cause: str | None,
    next_step: str,
    job_id: UUID | None,
    needs_person: bool = False,
) -> Condition:
    expectation = stream.expectation
    return _condition(
        ConditionKey(stream.key.store, name, stream.key.type),
        severity,
        since=since,
        text=text,
        cause=cause or None,
        next_step=next_step,
        stream=stream.key.type,
        job_id=job_id,
        schedule=expectation.schedule.name if expectation is not None else None,
        needs_person=needs_person,
    )


def _condition(
    key: ConditionKey,
    severity: ConditionSeverity,
    *,
    since: datetime,
    text: str,
    next_step: str,
    cause: str | None = None,
    stream: JobType | None = None,
    job_id: UUID | None = None,
    schedule: ScheduleName | None = None,
    approval_id: int | None = None,
    sale: str | None = None,
    needs_person: bool = False,
) -> Condition:
    return Condition(
        id=str(key),
        name=key.name,
        store=key.store,
        severity=severity,
        text=text,
        cause=cause or None,
        next_step=next_step,
        since=since,
        stream=stream,
        job_id=job_id,
        schedule=schedule,
        approval_id=approval_id,
        sale=sale,
        needs_person=needs_person,
    )
