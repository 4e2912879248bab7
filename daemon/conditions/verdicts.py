"""Whether a store is right: the one sentence that comes first, and the figures under it.

The sentence claims no more than is known. It says until when Shopify matched Nhanh.vn, and what stands in the way of
that now; what concerns the customers alone is told under it, and in the tone.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from daemon.api.conditions import Condition, ConditionName, ConditionSeverity, StreamState, Verdict
from daemon.conditions.detectors import has_pulled
from daemon.conditions.facts import StoreFacts
from daemon.conditions.scene import Scene, SourceTrouble
from daemon.conditions.streams import PRODUCT_PULLS, PULLS, Standing, next_fire
from daemon.conditions.words import as_sentence, both, source_name, span, stream_noun, time_of_day
from daemon.config import ProductSyncSettings
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text
from daemon.jobs.types import JobType
from daemon.tone import Tone

ASKING = frozenset({ConditionName.APPROVAL_WAITING, ConditionName.SALE_DECISION})
UNVOUCHED = frozenset({StreamState.NEVER, StreamState.UNSCHEDULED, StreamState.PAUSED})


def judge(store: StoreFacts, scene: Scene, conditions: Sequence[Condition]) -> Verdict:
    """The verdict on a store; `conditions` are those that bear on it."""
    judging = _Judging(store, scene, conditions)
    return Verdict(store.name, judging.tone(), judging.sentence(), " · ".join((store.name, *judging.details())))


class _Judging:
    """One store at one look."""

    def __init__(self, store: StoreFacts, scene: Scene, conditions: Sequence[Condition]) -> None:
        self._store = store
        self._scene = scene
        self._conditions = conditions
        self._streams = {stream.key.type: stream for stream in scene.streams_of(store.name)}
        self._sync = self._streams.get(JobType.SYNC_PRODUCTS)

    def tone(self) -> Tone:
        """Green only where everything is known and well."""
        if any(each.severity is ConditionSeverity.BAD for each in self._conditions):
            return Tone.BAD
        if any(each.name not in ASKING for each in self._conditions):
            return Tone.WARN
        if self._conditions:
            return Tone.ASK
        is_pulled = self._scene.is_known and self._as_of() is not None
        is_vouched = not self._unpulled() and all(each.state not in UNVOUCHED for each in self._decisive())
        return Tone.OK if is_pulled and is_vouched else Tone.OFF

    def sentence(self) -> str:
        """The first of what can be said that is true."""
        return (
            self._without_database()
            or self._without_data()
            or self._without_source()
            or self._paused()
            or self._not_well()
            or self._well()
        )

    def details(self) -> Iterator[str]:
        """Figures, ages, what is not in order beside the sentence, and what comes next."""
        if (mapped := self._scene.facts.slow.mapped.get(self._store.name)) is not None:
            yield self._size(mapped)
        yield from self._ages()
        for stream in self._streams.values():
            if stream in self._decisive():
                continue
            what = stream_noun(stream.key.type)
            if stream.late_since is not None:
                yield _("{stream} late by {length}").format(stream=what, length=self._span(stream.late_since))
            elif stream.facts.trouble is not None:
                yield _("{stream} failing since {time}").format(
                    stream=what, time=self._time(stream.facts.trouble.since)
                )
        if (fire := self._next_push()) is not None:
            yield _("next push {time}").format(time=self._time(fire))

    def _without_database(self) -> str | None:
        outage = self._scene.facts.outage
        if outage is None:
            return None if self._scene.is_known else _("Nothing is known of the shop yet")
        return _("The database has not answered since {time}, so nothing is known of the shop").format(
            time=self._time(outage.since)
        )

    def _without_data(self) -> str | None:
        if has_pulled(self._scene, self._store):
            return None
        for trouble in self._troubles():
            return _("Nothing pulled yet: {source} unreachable since {time}").format(
                source=source_name(trouble.source), time=self._time(trouble.since)
            )
        return _("Nothing pulled yet")

    def _without_source(self) -> str | None:
        troubles = self._troubles()
        if not troubles:
            return None
        unreachable = [each for each in troubles if each.name is ConditionName.SOURCE_UNREACHABLE] or troubles
        said = (
            _("{sources} unreachable since {time}")
            if unreachable[0].name is ConditionName.SOURCE_UNREACHABLE
            else _("{sources} refuses the credential since {time}")
        )
        text = said.format(
            sources=both([source_name(each.source) for each in unreachable]),
            time=self._time(min(each.since for each in unreachable)),
        )
        return text + self._as_of_clause()

    def _paused(self) -> str | None:
        pause = self._scene.pause_of(self._store.name)
        if pause is None:
            return None
        text = _("Paused since {time}: nothing is written to Shopify").format(time=self._time(pause.since))
        return text + self._as_of_clause()

    def _not_well(self) -> str | None:
        """What keeps the products from being right: that a step of their way fails, or is late."""
        failing = [each for each in self._decisive() if each.facts.trouble is not None]
        for stream in failing:
            trouble = stream.facts.trouble
            if trouble is not None and (trouble.has_failed or stream.is_late):
                said = _("{stream}: failing since {time}").format(
                    stream=as_sentence(stream_noun(stream.key.type)), time=self._time(trouble.since)
                )
                return said + self._as_of_clause()
        for stream in self._decisive():
            if stream.late_since is not None and stream.question is None:
                return self._late(stream)
        return None

    def _late(self, stream: Standing) -> str:
        length = self._span(stream.late_since) if stream.late_since is not None else ""
        if stream.key.type is JobType.PULL_NHANH_INVENTORY:
            as_of = stream.complete_to
            if as_of is None:
                return _("Stock is {length} late").format(length=length)
            return _("Stock is {length} late: it is as of {time}").format(length=length, time=self._time(as_of))
        what = as_sentence(stream_noun(stream.key.type))
        return _("{stream}: {length} late").format(stream=what, length=length) + self._as_of_clause()

    def _well(self) -> str:
        if unpulled := self._unpulled():
            return _("Not pulled yet: {streams}").format(streams=both([stream_noun(each) for each in unpulled]))
        as_of = self._as_of()
        if as_of is None:
            return _("Nothing pulled yet")
        time = self._time(as_of)
        if self._sync is None:
            sources = both([source_name(source) for source in sorted(self._store.sources)])
            return _("{sources} pulled as of {time}").format(sources=sources, time=time)
        if self._sync.facts.last is None:
            return _("Nothing pushed yet; stock is as of {time}").format(time=time) + self._questions()
        said = _("Shopify matches Nhanh.vn as of {time}").format(time=time)
        unpushed = self._sync.facts.unstored
        if unpushed is not None:
            said = ngettext(
                "{verdict}, except {n} value that could not be pushed",
                "{verdict}, except {n} values that could not be pushed",
                unpushed.rows,
            ).format(verdict=said, n=number_text(unpushed.rows))
        return said + self._questions()

    def _questions(self) -> str:
        question = self._sync.question if self._sync is not None else None
        if question is None:
            return ""
        if question.changes is None:
            return _("; what came since waits for you")
        return ngettext("; {n} change waits for you", "; {n} changes wait for you", question.changes).format(
            n=number_text(question.changes)
        )

    def _troubles(self) -> list[SourceTrouble]:
        return [each for each in self._scene.source_troubles if each.store == self._store.name]

    def _decisive(self) -> list[Standing]:
        """The streams that the sentence is about: what is pushed of the products, and what that comes from."""
        sync = self._store.product_sync
        if self._sync is None or sync is None:
            pulls = PRODUCT_PULLS if any(each in self._streams for each in PRODUCT_PULLS) else PULLS
            return [self._streams[each] for each in pulls if each in self._streams]
        wanted = (*_drawn_on(sync), JobType.SYNC_PRODUCTS)
        return [self._streams[each] for each in wanted if each in self._streams]

    def _unpulled(self) -> list[JobType]:
        """What the push draws on and was never complete, or is not even pulled by anybody."""
        sync = self._store.product_sync
        if self._sync is None or sync is None:
            return [each.key.type for each in self._decisive() if each.complete_to is None]
        known = {each.key.type for each in self._decisive() if each.complete_to is not None}
        return [each for each in _drawn_on(sync) if each not in known]

    def _as_of(self) -> datetime | None:
        """Until when everything that the sentence is about is known; of what was never pushed, as it was pulled."""
        times = [each.complete_to for each in self._decisive() if each.complete_to is not None]
        return min(times) if times and not self._unpulled() else None

    def _as_of_clause(self) -> str:
        as_of = self._as_of()
        if as_of is None:
            return ""
        has_stock = any(each.key.type is JobType.PULL_NHANH_INVENTORY for each in self._decisive())
        said = _("; stock is as of {time}") if has_stock else _("; the data is as of {time}")
        return said.format(time=self._time(as_of))

    def _size(self, mapped: int) -> str:
        sync = self._store.product_sync
        variants = ngettext("{n} variant", "{n} variants", mapped).format(n=number_text(mapped))
        if sync is None or not sync.locations:
            return variants
        places = len(sync.locations)
        return ngettext("{variants} at {n} location", "{variants} at {n} locations", places).format(
            variants=variants, n=places
        )

    def _ages(self) -> Iterator[str]:
        said = {
            JobType.PULL_NHANH_INVENTORY: _("stock {length} old"),
            JobType.PULL_NHANH_PRODUCTS: _("prices {length} old"),
        }
        for job_type, text in said.items():
            stream = self._streams.get(job_type)
            if stream is not None and stream.complete_to is not None:
                yield text.format(length=self._span(stream.complete_to))

    def _next_push(self) -> datetime | None:
        if self._sync is None or self._sync.expectation is None:
            return None
        schedule = self._sync.expectation.schedule
        return next_fire(schedule, self._scene.facts.now)

    def _time(self, moment: datetime) -> str:
        return time_of_day(moment, self._scene.facts.now, self._scene.facts.zone)

    def _span(self, since: datetime) -> str:
        return span(self._scene.facts.now - since)


def _drawn_on(sync: ProductSyncSettings) -> list[JobType]:
    """The pulls from which a product sync makes what it pushes."""
    drawn_on = {
        JobType.PULL_NHANH_INVENTORY: sync.locations,
        JobType.PULL_NHANH_PRODUCTS: sync.price or sync.compare_at_price,
        JobType.PULL_SHOPIFY_PRODUCTS: True,
    }
    return [job_type for job_type, is_used in drawn_on.items() if is_used]
