"""What can be wrong: one detector a condition, each over the facts of one look. A new one is a function and a row.

The texts are in the language that is spoken while a detector runs. A detector says what is wrong and what to do, and
since when: from the data, or, where that keeps no time of it, from what the daemon remembers (`Scene.since`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity
from daemon.api.sales import CampaignState
from daemon.conditions.facts import ConditionKey, StoreFacts, StreamKey, Trouble
from daemon.conditions.scene import Scene, SourceTrouble
from daemon.conditions.streams import PULLS, PUSHES, Standing
from daemon.conditions.words import both, clause, source_name, span, time_of_day
from daemon.config import HEARTBEAT
from daemon.i18n import day_text, mark, ngettext, number_text, size_text
from daemon.i18n import gettext as _
from daemon.ids import ScheduleName, StoreName
from daemon.inbox.events import TopicCount
from daemon.inbox.streams import StreamId, WebhookStream
from daemon.inbox.topics import TOPICS, Concern, Subject
from daemon.jobs.types import BOTH, JobType, Source
from daemon.jobs.words import job_name
from daemon.roles import DaemonRole
from daemon.sales.clocks import MOST_APART
from daemon.sales.model import Campaign
from daemon.sources.credential import ENDS_SOON

Detector = Callable[[Scene], Iterator[Condition]]

WARN, BAD = ConditionSeverity.WARN, ConditionSeverity.BAD
OVERDUE_AFTER: Final = timedelta(minutes=1)  # a sale starts within seconds of its time
CLOCK_TOLERANCE: Final = timedelta(seconds=5)
OLD_TRANSACTION: Final = timedelta(hours=1)  # none of ours lasts longer than a few minutes, apart from a backup
QUEUE_FILLING: Final = 0.1  # a queue that is read is all but empty
WEBHOOKS_WAIT_TOO_LONG: Final = timedelta(minutes=5)
LISTENED: Final = timedelta(minutes=5)  # a daemon notes it every few seconds
REFUSALS_COUNT: Final = timedelta(minutes=15)
GOODBYE_COUNTS: Final = timedelta(hours=1)  # in which some job asks the source for something
QUEUE_NEARLY_FULL: Final = 0.5  # PostgreSQL itself warns from here on
FLEET_GRACE: Final = timedelta(seconds=30)  # in which a daemon that is started again is back
GONE_COUNTS: Final = timedelta(hours=1)  # then somebody knows, or the daemon was taken away for good
UNCOVERED: Final[Mapping[DaemonRole, str]] = {
    DaemonRole.WORKER: mark("No daemon takes jobs"),
    DaemonRole.SCHEDULES: mark("No daemon fires schedules, and none starts or ends sales"),
}


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
            next_step=(
                _(
                    "Get a new one: `dongbo connect {source} --store {store}`. It takes effect when the daemon is "
                    "restarted: `systemctl restart dongbo`."
                )
                if (trouble.store, trouble.source) in scene.facts.kept_secrets
                else _("Get a new one: `dongbo connect {source} --store {store}`.")
            ).format(source=trouble.source, store=trouble.store),
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
                cause=scene.facts.sale_clock_problem or sale.notice or _pause_cause(scene, sale.store),
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
    """A clock of a source that differs from this machine's."""
    for clock in scene.facts.clocks:
        seconds = clock.offset_seconds
        said = (
            _("The clock of {whose} is {seconds} s ahead of this machine's")
            if seconds > 0
            else _("The clock of {whose} is {seconds} s behind this machine's")
        )
        key = ConditionKey(clock.store, ConditionName.CLOCKS_APART, clock.source)
        text = said.format(whose=source_name(clock.source), seconds=f"{abs(seconds):.0f}")
        step = _("Let this machine set its clock by NTP: `timedatectl set-ntp true`.")
        yield from _clock_off(scene, key, seconds, text, step, cause=scene.facts.sale_clock_problem)


def daemon_clock_off(scene: Scene) -> Iterator[Condition]:
    """A daemon on a machine whose clock is not the database's."""
    for member in scene.database.fleet:
        if not member.is_live or member.clock_offset is None:
            continue
        said = (
            _("The clock of daemon {daemon} is {seconds} s ahead of the database's")
            if member.clock_offset > 0
            else _("The clock of daemon {daemon} is {seconds} s behind the database's")
        )
        text = said.format(daemon=member.name, seconds=f"{abs(member.clock_offset):.0f}")
        step = _("Let the machine {host} set its clock by NTP: `timedatectl set-ntp true`.").format(host=member.host)
        key = ConditionKey(None, ConditionName.DAEMON_CLOCK_OFF, member.name)
        yield from _clock_off(scene, key, member.clock_offset, text, step)


def role_uncovered(scene: Scene) -> Iterator[Condition]:
    """That no daemon does a part of the work without which nothing moves."""
    fleet = scene.database.fleet
    for role, said in UNCOVERED.items():
        with_role = [member for member in fleet if role in member.roles]
        if not any(member.is_live for member in fleet) or any(member.does(role) for member in with_role):
            continue
        known = [member.idle_since(role) for member in with_role]
        since = max(known, default=min(member.started_at for member in fleet if member.is_live))
        if fleet[0].read_at - since < FLEET_GRACE:
            continue
        idle = [member.name for member in with_role if member.is_live]
        yield _condition(
            ConditionKey(None, ConditionName.ROLE_UNCOVERED, role),
            BAD,
            since=since,
            text=_(said),
            cause=_("{daemons} should, and can't").format(daemons=both(idle)) if idle else None,
            next_step=_("Look at what `/readyz` of {daemons} says.").format(daemons=both(idle))
            if idle
            else _("Start a daemon with this role on some machine: `dongbo run --roles {role}`.").format(role=role),
            needs_person=True,
        )


def daemon_gone(scene: Scene) -> Iterator[Condition]:
    """A daemon that has stopped without saying so: it was killed, its machine is down, or cut off."""
    for member in scene.database.fleet:
        silent = timedelta(seconds=member.silent_seconds)
        if member.left_at is None and FLEET_GRACE <= silent < GONE_COUNTS:
            yield _condition(
                ConditionKey(None, ConditionName.DAEMON_GONE, member.name),
                WARN,
                since=member.seen_at,
                text=_("Daemon {daemon} is gone without having stopped").format(daemon=member.name),
                next_step=_(
                    "See whether the machine {host} is up and reaches the database, and start the daemon again there."
                ).format(host=member.host),
                needs_person=True,
            )


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


def store_paused(scene: Scene) -> Iterator[Condition]:
    """A store to which nothing is written because a person has said so, with the campaigns that wait for the end."""
    now, zone = scene.facts.now, scene.facts.zone
    for store in scene.facts.stores:
        pause = scene.pause_of(store.name)
        if pause is None:
            continue
        waiting = [sale.name for sale in scene.database.open_sales if sale.store == store.name and _waits(sale, now)]
        if pause.until is None:
            text = _("Nothing is written to Shopify: the store is paused")
        else:
            until = time_of_day(pause.until, now, zone)
            text = _("Nothing is written to Shopify: the store is paused until {time}").format(time=until)
        said = [
            _("paused by {who}").format(who=pause.who) if pause.who is not None else None,
            pause.reason,
            _("sales that wait: {names}").format(names=", ".join(waiting)) if waiting else None,
        ]
        yield _condition(
            ConditionKey(store.name, ConditionName.STORE_PAUSED, ""),
            WARN,
            since=pause.since,
            text=text,
            cause="; ".join(clause(part) for part in said if part),
            next_step=_(
                "Resume it when Shopify may be written to again: `dongbo sync resume {store}`. Sales go on at once, "
                "syncs with their next run."
            ).format(store=store.name),
            needs_person=pause.until is None,
        )


def _pause_cause(scene: Scene, store: StoreName) -> str | None:
    return _("the store is paused") if scene.pause_of(store) is not None else None


def _waits(sale: Campaign, now: datetime) -> bool:
    """Whether prices of a sale are to be written now."""
    is_under_way = sale.state in (CampaignState.APPLYING, CampaignState.REVERTING)
    return is_under_way or sale.overdue_start(now) > 0 or sale.overdue_end(now) > 0


def database_away(scene: Scene) -> Iterator[Condition]:
    """The database does not answer."""
    if (outage := scene.facts.outage) is not None:
        yield _condition(
            ConditionKey(None, ConditionName.DATABASE_AWAY, ""),
            BAD,
            since=outage.since,
            text=_("The database does not answer"),
            cause=clause(outage.reason),
            next_step=_(
                "Start PostgreSQL, or look at its log, for the embedded one postgres.log in the state directory; the "
                "daemon goes on by itself when it is back."
            ),
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


def database_read_only(scene: Scene) -> Iterator[Condition]:
    """The database answers, but takes nothing."""
    if scene.is_known and scene.facts.slow.is_read_only:
        key = ConditionKey(None, ConditionName.DATABASE_READ_ONLY, "")
        yield _condition(
            key,
            BAD,
            since=scene.since(key, seen=scene.facts.now),
            text=_("The database is read-only: nothing can be stored, and no job runs"),
            next_step=_(
                "After a failover or maintenance it ends by itself, and the daemon goes on. Otherwise turn off "
                "default_transaction_read_only, or name the primary in [database] url."
            ),
        )


def database_locked(scene: Scene) -> Iterator[Condition]:
    """Somebody else holds a lock for which the daemon waits."""
    if (blockage := scene.facts.blockage) is None or scene.facts.outage is not None:
        return
    key = ConditionKey(None, ConditionName.DATABASE_LOCKED, "")
    names = [name for name in (blockage.application, blockage.user) if name]
    whose = f" ({', '.join(names)})" if names else ""
    if blockage.pid is None:
        next_step = _("It has to be committed or rolled back: `SELECT gid FROM pg_prepared_xacts`.")
    else:
        next_step = _("If it does not end by itself, end it: `SELECT pg_terminate_backend({pid})`.").format(
            pid=blockage.pid
        )
    yield _condition(
        key,
        BAD,
        since=scene.since(key, seen=scene.facts.now - timedelta(seconds=blockage.seconds)),
        text=_("Another session holds a lock in the database, for which the daemon waits"),
        cause=_("It is a prepared transaction")
        if blockage.pid is None
        else _("It is process {pid}{whose}").format(pid=blockage.pid, whose=whose),
        next_step=next_step,
    )


def alert_undelivered(scene: Scene) -> Iterator[Condition]:
    """What should reach a person does not. A channel that has not been tried since a restart is still as it was."""
    for report in scene.facts.channels:
        key = ConditionKey(None, ConditionName.ALERT_UNDELIVERED, report.channel)
        known = scene.facts.remembered.get(str(key))
        if report.works or (report.works is None and known is None):
            continue
        is_heartbeat = report.channel == HEARTBEAT
        if is_heartbeat:
            said = _("The heartbeat does not reach its address")
            step = _("It is tried again by itself. Look at [heartbeat] url and at this machine's network.")
        else:
            said = _("Alerts do not get through by {channel}")
            step = _("It is tried again by itself. When its url is right: `dongbo alerts test {channel}`.")
        problem = report.problem if report.works is False else known.cause if known is not None else None
        yield _condition(
            key,
            WARN,
            since=scene.since(key, seen=report.failing_since or scene.facts.now),
            text=said.format(channel=report.channel),
            cause=clause(problem or ""),
            next_step=step.format(channel=report.channel),
            needs_person=not is_heartbeat,
        )


def disk_filling(scene: Scene) -> Iterator[Condition]:
    """That the database has, or will soon have, no space to write."""
    facts, usage = scene.facts, scene.facts.slow.storage
    takes = _("The database takes up {size}").format(size=size_text(usage.size)) if usage is not None else None
    key = ConditionKey(None, ConditionName.DISK_FILLING, "")
    if (refused := facts.refused_space) is not None:
        yield _condition(
            key,
            BAD,
            since=scene.since(key, seen=refused.first_at),
            text=_("PostgreSQL has no space left to write, last at {time}").format(
                time=time_of_day(refused.last_at, facts.now, facts.zone)
            ),
            cause=clause(refused.reason),
            next_step=_("Make room on the disk of the database, or use a larger one; then jobs go on by themselves."),
            needs_person=True,
        )
    elif (disk := facts.disk) is not None and disk.is_low:
        yield _condition(
            key,
            BAD if disk.is_out else WARN,
            since=scene.since(key, seen=facts.now),
            text=_("{free} of {size} are free on the disk with the database").format(
                free=size_text(disk.free), size=size_text(disk.size)
            ),
            cause=takes,
            next_step=_(
                "Make room on the disk of {path}, or use a larger one: without space PostgreSQL stops, and so do jobs."
            ).format(path=disk.path),
            needs_person=True,
        )


def transaction_old(scene: Scene) -> Iterator[Condition]:
    """A transaction that keeps PostgreSQL from cleaning up behind all others."""
    usage = scene.facts.slow.storage if scene.is_known else None
    if usage is None or (oldest := usage.oldest) is None or timedelta(seconds=oldest.seconds) < OLD_TRANSACTION:
        return
    length = span(timedelta(seconds=oldest.seconds))
    if oldest.pid is None:
        text = _("A prepared transaction in the database has been open for {length}").format(length=length)
        next_step = _("Nobody will end it by itself: `ROLLBACK PREPARED '{name}'`, or COMMIT it.").format(
            name=oldest.name
        )
    else:
        text = _("A transaction in the database has been open for {length}: {name}, process {pid}").format(
            length=length, name=oldest.name or _("without a name"), pid=oldest.pid
        )
        next_step = _("If it is no backup that will end, end it: `SELECT pg_terminate_backend({pid})`.").format(
            pid=oldest.pid
        )
    yield _condition(
        ConditionKey(None, ConditionName.TRANSACTION_OLD, str(oldest.pid) if oldest.pid is not None else oldest.name),
        WARN,
        since=oldest.since,
        text=text,
        cause=_("Until it ends, nothing that is deleted or replaced gives its space back"),
        next_step=next_step,
        needs_person=True,
    )


def notifications_piling_up(scene: Scene) -> Iterator[Condition]:
    """The server's queue of notifications, which holds up everybody once it is full."""
    usage = scene.facts.slow.storage if scene.is_known else None
    if usage is not None and usage.notification_queue >= QUEUE_FILLING:
        key = ConditionKey(None, ConditionName.NOTIFICATIONS_PILING_UP, "")
        yield _condition(
            key,
            BAD if usage.notification_queue >= QUEUE_NEARLY_FULL else WARN,
            since=scene.since(key, seen=scene.facts.now),
            text=_("PostgreSQL's queue of notifications is {share} % full").format(
                share=f"{usage.notification_queue * 100:.0f}"
            ),
            cause=_("A program that listens, in any database of the server, has had a transaction open for long"),
            next_step=_(
                "Find it by `SELECT pid, application_name, xact_start FROM pg_stat_activity ORDER BY xact_start` and "
                "end it: once the queue is full, jobs start and show some seconds late."
            ),
            needs_person=True,
        )


def webhooks_waiting(scene: Scene) -> Iterator[Condition]:
    """What webhooks have told, and no job deals with."""
    for waiting in scene.database.webhooks.waiting:
        if waiting.store not in scene.store_names or scene.facts.now - waiting.oldest < WEBHOOKS_WAIT_TOO_LONG:
            continue
        said = ngettext(
            "{n} event of webhooks waits for a job", "{n} events of webhooks wait for a job", waiting.events
        )
        yield _condition(
            ConditionKey(waiting.store, ConditionName.WEBHOOKS_WAITING, waiting.concern),
            WARN,
            since=waiting.oldest,
            text=said.format(n=number_text(waiting.events)),
            next_step=_("Look at why the store's jobs do not run or do not come to an end."),
            stream=JobType.SYNC_PRODUCTS if waiting.concern is Concern.PRODUCTS else JobType.SYNC_CUSTOMERS,
        )


def webhooks_silent(scene: Scene) -> Iterator[Condition]:
    """Webhooks that have stopped coming, although there are changes."""
    listened = {stream.id for stream in _listened(scene)}
    pushing = {store.name for store in scene.facts.stores if store.product_sync is not None}
    for untold in scene.database.webhooks.untold:
        last = scene.database.webhooks.last_of(untold.stream)
        if untold.stream not in listened or untold.stream.store not in pushing or last is None:
            continue
        source = source_name(untold.stream.source)
        yield _condition(
            ConditionKey(untold.stream.store, ConditionName.WEBHOOKS_SILENT, untold.stream.source),
            WARN,
            since=untold.since,
            text=_("{source} sends no webhooks").format(source=source),
            cause=_("A pull has brought changes that none had told of; the last one came {time}").format(
                time=time_of_day(last.last_received_at, scene.facts.now, scene.facts.zone)
            ),
            next_step=_(
                "Until they come again, changes arrive with the schedules. See whether they are still switched on at "
                "{source}, and whether the proxy passes them on: `dongbo webhooks list {store}`."
            ).format(source=source, store=untold.stream.store),
            job_id=untold.job_id,
            needs_person=True,
        )


def webhooks_refused(scene: Scene) -> Iterator[Condition]:
    """Webhooks that nobody believes."""
    for stream in _listened(scene):
        if stream.last_refused_at is None or scene.facts.now - stream.last_refused_at >= REFUSALS_COUNT:
            continue
        key = ConditionKey(stream.id.store, ConditionName.WEBHOOKS_REFUSED, stream.id.source)
        is_nhanh = stream.id.source is Source.NHANH
        yield _condition(
            key,
            WARN,
            since=scene.since(key, seen=stream.last_refused_at),
            text=_("Webhooks of {source} are refused: they are not rightly signed").format(
                source=source_name(stream.id.source)
            ),
            next_step=_("If they are not forged, compare webhook_token with the webhooks verify token of the app.")
            if is_nhanh
            else _("If they are not forged, compare client_secret or webhook_secret with the app's secret."),
            needs_person=True,
        )


def app_uninstalled(scene: Scene) -> Iterator[Condition]:
    """An app that has said good-bye, and has not been heard of since."""
    webhooks = scene.database.webhooks
    for goodbye in webhooks.topics:
        topic = TOPICS.get((goodbye.source, goodbye.topic))
        stream = StreamId(goodbye.store, goodbye.source)
        if topic is None or topic.subjects != (Subject.APP,) or goodbye.store not in scene.store_names:
            continue
        if webhooks.last_of(stream) != goodbye or _works_again(scene, goodbye):
            continue
        yield _condition(
            ConditionKey(goodbye.store, ConditionName.APP_UNINSTALLED, goodbye.source),
            BAD,
            since=goodbye.last_received_at,
            text=_("The app was removed at {source}").format(source=source_name(goodbye.source)),
            next_step=_("Install it again, then `dongbo connect {source} --store {store}`.").format(
                source=goodbye.source, store=goodbye.store
            ),
            needs_person=True,
        )


def _works_again(scene: Scene, goodbye: TopicCount) -> bool:
    """Whether the credential is accepted so long after that it can't be an answer of before."""
    reports = (each for each in scene.facts.credentials if (each.store, each.source) == (goodbye.store, goodbye.source))
    return any(each.works for each in reports) and scene.facts.now - goodbye.last_received_at > GOODBYE_COUNTS


def _listened(scene: Scene) -> Iterator[WebhookStream]:
    """The streams of configured stores that somebody listens to."""
    for stream in scene.database.webhooks.streams:
        is_fresh = stream.listened_until is not None and scene.database.read_at - stream.listened_until < LISTENED
        if is_fresh and stream.id.store in scene.store_names:
            yield stream


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
    database_read_only,
    database_locked,
    disk_filling,
    notifications_piling_up,
    transaction_old,
    role_uncovered,
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
    daemon_clock_off,
    daemon_gone,
    alert_undelivered,
    app_uninstalled,
    webhooks_refused,
    webhooks_silent,
    webhooks_waiting,
    nothing_pulled,
    nothing_pushed,
    store_paused,
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
    known = (scene.database.streams.get(StreamKey(store.name, pull)) for pull in PULLS)
    return any(stream is not None and stream.last is not None for stream in known)


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


def _clock_off(
    scene: Scene, key: ConditionKey, seconds: float, text: str, next_step: str, cause: str | None = None
) -> Iterator[Condition]:
    apart = timedelta(seconds=abs(seconds))
    if apart > CLOCK_TOLERANCE:
        yield _condition(
            key,
            BAD if apart > MOST_APART else WARN,
            since=scene.since(key, seen=scene.facts.now),
            text=text,
            cause=cause,
            next_step=next_step,
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
