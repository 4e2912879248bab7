"""Finds the outcome of interrupted pushes to customers: reads Shopify again and believes nothing else."""

from collections.abc import Sequence

import structlog

from daemon.api.pushes import PushKind, PushResult
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sync import pushes
from daemon.sync.customers.rules import CustomerRules, same_tags, tags_from_text
from daemon.sync.customers.run import CustomerReading, CustomerRun
from daemon.sync.pushes import IntendedPush, RecordedPush

log = structlog.get_logger()

KINDS = (PushKind.METAFIELD, PushKind.TAGS)
PUSHES_AT_ONCE = 250

SEEN = mark("interrupted; Shopify has the new value")
NOT_SEEN = mark("interrupted, and not seen at Shopify")  # which does not mean that it will not come through yet
FOREIGN = mark("interrupted; Shopify has another value by now")
GONE = mark("interrupted; the customer no longer exists in Shopify")
UNREAD = mark("interrupted; Shopify's answer is unreadable")
RENAMED = mark("interrupted; the configuration no longer names this metafield")

Verdict = tuple[PushResult, str | None]


async def reconcile_interrupted(run: CustomerRun) -> int:
    """Settle open pushes of metafields and tags, but not those of another job that runs; how many there were.

    What Shopify says comes into the mirror, too.

    Raises RunStopped, SourceRefused, RateLimited, SourceUnavailable.
    """
    settled = 0
    while True:
        async with run.context.database.acquire_for_work() as connection:
            found = await pushes.list_open(connection, run.store, KINDS, run.context.job.id, limit=PUSHES_AT_ONCE)
        if not found:
            if settled:
                log.info("pushes_settled", pushes=settled)
            return settled
        await _settle(run, found)
        settled += len(found)


async def _settle(run: CustomerRun, found: Sequence[RecordedPush]) -> None:
    if any(entry.push.kind is PushKind.METAFIELD for entry in found):
        await run.read_formats()  # what is there may be spelled differently from what was sent
    reading = await run.context.unless_stopped(run.read({entry.push.owner_id for entry in found}))
    async with run.step() as page:
        await pushes.settle(page.connection, {entry.id: verdict(entry.push, reading, run.rules) for entry in found})
        await reading.store(page.connection, run.store)


def verdict(push: IntendedPush, reading: CustomerReading, rules: CustomerRules) -> Verdict:
    """The outcome of a push, judged by what Shopify says of its customer now."""
    row = reading.rows.get(push.owner_id)
    if row is None:
        return PushResult.UNKNOWN, _(GONE) if push.owner_id in reading.gone else _(UNREAD)
    if push.kind is PushKind.TAGS:
        old, new = tags_from_text(push.old_value), tags_from_text(push.new_value)
        present = rules.tier_tags(row.value.tags, besides=[*old, *new])
        return _compared(is_new=same_tags(present, new), is_old=same_tags(present, old))
    if push.name not in row.value.metafields:
        return PushResult.UNKNOWN, _(RENAMED)
    value = reading.value(push.owner_id, push.name)
    return _compared(
        is_new=rules.says(push.name, value, push.new_value), is_old=rules.says(push.name, value, push.old_value)
    )


def _compared(*, is_new: bool, is_old: bool) -> Verdict:
    if is_new:
        return PushResult.APPLIED, _(SEEN)
    return PushResult.UNKNOWN, _(NOT_SEEN) if is_old else _(FOREIGN)
