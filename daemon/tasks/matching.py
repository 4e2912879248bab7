"""What matching products and matching customers have in common: how a job decides about a shop, and writes it.

Deciding is one transaction, which takes no lock and is taken back by a dry run; writing is one for each batch.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from daemon.database.pool import Connection
from daemon.ids import JobId, StoreName
from daemon.jobs.context import JobContext, PageTransaction
from daemon.jobs.model import Counters
from daemon.jobs.phases import JobPhase, Tell
from daemon.sync.matching.outcome import MatchOutcome
from daemon.sync.matching.writing import MappingWrites, begin_round, round_number
from daemon.tasks.phases import told

MATCHED = "matched"  # the checkpoint after the last page
WRITING = "writing"  # while what was decided is written
ROUNDS = 3  # of deciding: what somebody came between is decided once more, and else left to the next job
ATTEMPTS = 3  # to decide while nobody else matches; then the others wait
# What a round did; a later one, for what was left, does not say it anew.
DONE_BY_ROUND = frozenset({"retired", "restored", "repaired"})


@dataclass(frozen=True, slots=True)
class Matching:
    """What is matched of a store.

    Args:
        decide: decides in the caller's transaction, without a lock.
        write_findings: writes what people look at, such as conflicts.
        writes: how the mappings are written.
    """

    store: StoreName
    decide: Callable[[Connection, Tell], Awaitable[MatchOutcome]]
    write_findings: Callable[[Connection], Awaitable[None]]
    writes: MappingWrites


class OtherMatch(Exception):
    """Somebody else has written findings while it was decided: what was read for it may be out of date."""


@asynccontextmanager
async def rolled_back(context: JobContext) -> AsyncIterator[Connection]:
    """A connection in a transaction of which nothing stays."""
    async with context.database.acquire_for_work() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        finally:
            await transaction.rollback()


async def commit_match(context: JobContext, matching: Matching) -> None:
    """Decide and write; the rows of Shopify count together with what is written of them.

    What an earlier run of the job has decided and not written is decided anew: it may be long ago.
    """
    async with told(context) as tell:
        is_resumed = context.job.checkpoint == WRITING
        for number in range(ROUNDS):
            is_first = number == 0 and not is_resumed
            await _decide(context, matching, WRITING, tell, partial(_account, context, is_first=is_first))
            if not await _write_counted(context, matching, tell):
                break
    await context.describe(total=context.processed, checkpoint=MATCHED)


async def match_uncounted(context: JobContext, matching: Matching) -> None:
    """Decide and write, for a job that counts something else and has a checkpoint of its own."""
    async with told(context) as tell:
        for _round in range(ROUNDS):
            await _decide(context, matching, context.job.checkpoint, tell)
            tell(JobPhase.WRITING_MAPPINGS)
            left = 0
            while (written := await _write(context, matching)) is not None:
                left += written
            if not left:
                break


def _account(context: JobContext, page: PageTransaction, outcome: MatchOutcome, *, is_first: bool) -> None:
    """Count the rows of Shopify for which there is nothing to do and that no earlier round has counted."""
    counters = outcome.counters
    to_come = counters.created + counters.updated
    page.count(Counters(skipped=max(counters.processed - to_come - context.processed, 0)))
    page.metadata |= {name: figure for name, figure in outcome.figures.items() if is_first or name not in DONE_BY_ROUND}


async def _decide(
    context: JobContext,
    matching: Matching,
    checkpoint: object,
    tell: Tell,
    account: Callable[[PageTransaction, MatchOutcome], None] | None = None,
) -> None:
    """Decide, and commit the findings together with what is to be written.

    `account` counts, in the same transaction; None: nothing is counted.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with context.page(checkpoint=checkpoint, pages=1 if account is not None else 0) as page:
                outcome = await context.unless_stopped(
                    _decide_in(page.connection, context.job.id, matching, tell, keeps_others_away=attempt == ATTEMPTS)
                )
                if account is not None:
                    account(page, outcome)
        except OtherMatch:
            continue
        return


async def _decide_in(
    connection: Connection, job_id: JobId, matching: Matching, tell: Tell, *, keeps_others_away: bool
) -> MatchOutcome:
    store, decisions = matching.store, matching.writes.decisions
    if keeps_others_away:
        await decisions.lock(connection, store)
    number = await round_number(connection, store, decisions)
    outcome = await matching.decide(connection, tell)
    tell(JobPhase.WRITING_MAPPINGS)
    await matching.writes.draft(connection, job_id)  # before the lock: it is only the job's own
    await decisions.lock(connection, store)
    if await round_number(connection, store, decisions) != number:
        raise OtherMatch
    await begin_round(connection, store, decisions)
    await matching.write_findings(connection)
    return outcome


async def _write_counted(context: JobContext, matching: Matching, tell: Tell) -> int:
    """Write what was decided and is not written yet, batch by batch; how many changes no longer fitted."""
    tell(JobPhase.WRITING_MAPPINGS)
    left = 0
    while True:
        async with context.page(checkpoint=WRITING) as page:
            written = await matching.writes.write_next(page.connection, matching.store, context.job.id)
            if written is not None:
                page.count(written.counters)
        if written is None:
            return left
        left += written.left


async def _write(context: JobContext, matching: Matching) -> int | None:
    """Write the next batch, uncounted; how many of its changes no longer fitted, None where there is none."""
    async with context.page(checkpoint=context.job.checkpoint, pages=0) as page:
        written = await matching.writes.write_next(page.connection, matching.store, context.job.id)
    return written.left if written is not None else None


async def report_match(context: JobContext, outcome: MatchOutcome) -> None:
    """Commit the counters of a dry run, with what it would have done."""
    async with context.page(checkpoint=MATCHED) as page:
        page.count(outcome.counters)
        page.metadata |= {**outcome.figures, "sample": outcome.sample}
    await context.describe(total=context.processed)


async def is_matched(context: JobContext) -> bool:
    """Whether an earlier run of this job has committed the match; then only the total may be left to say."""
    if context.job.checkpoint != MATCHED:
        return False
    await context.describe(
        total=context.processed
    )  # more or fewer rows than there were at the start may have been matched
    return True
