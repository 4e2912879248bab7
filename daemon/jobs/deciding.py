"""What people decide about the questions of jobs: approve or reject, by the question or by the job that waits."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from asyncpg import UniqueViolationError

from daemon.database.pool import Connection, Database
from daemon.errors import ApprovalNotFound, AskedAnew, InvalidTransition, JobNotFound, LiveJobExists
from daemon.i18n import as_stored, ngettext
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs import actions, approvals, store
from daemon.jobs.actions import ActionKind, SubjectKind
from daemon.jobs.approvals import AskedQuestion
from daemon.jobs.events import JobNotifier
from daemon.jobs.model import ApprovalState, Job

log = structlog.get_logger()

ATTEMPTS = 5  # a newer run may take the question over between the look at it and the decision

Enqueue = Callable[[Connection, Job], Awaitable[None]]


class Decisions:
    """Decides the questions of one database. A job whose step waits is decided by deciding about the step."""

    def __init__(self, database: Database, notifier: JobNotifier, enqueue: Enqueue, max_attempts: int) -> None:
        """`enqueue` gives a job its place in the queue, in the caller's transaction."""
        self._database = database
        self._notifier = notifier
        self._enqueue = enqueue
        self._max_attempts = max_attempts

    async def approve(self, job_id: JobId, *, question: int | None = None, seen: int | None = None) -> Job:
        """Let a job that waits for approval carry out what it has asked about; the job, which is to run again.

        Args:
            question: the one that is meant; None for whatever the job asks.
            seen: how many runs had asked it when it was looked at; None: whatever it asks now.

        Raises JobNotFound, InvalidTransition if it does not wait, AskedAnew, and LiveJobExists.
        """
        try:
            async with self._database.acquire() as connection, connection.transaction():
                asking = await _asking(connection, job_id, question, seen)
                job = await store.approve(connection, asking.id, self._max_attempts)
                if job is not None:  # it is locked, and waits
                    await self._enqueue(connection, job)
                await _note(connection, asking, ApprovalState.APPROVED, ActionKind.APPROVE)
                parent_id = await self._let_parent_run(connection, asking)
        except UniqueViolationError:
            raise await live_instead_of(self._database, job_id) from None
        return await self._decided(job_id, asking, parent_id, "job_approved")

    async def reject(self, job_id: JobId, *, question: int | None = None, seen: int | None = None) -> Job:
        """End a job that waits for approval; the job. Arguments and errors are those of `approve`."""
        async with self._database.acquire() as connection, connection.transaction():
            asking = await _asking(connection, job_id, question, seen)
            with as_stored():
                reason = _("Rejected by a person: nothing of it was carried out.")
                parents = _("Its step {step}, job {job}, was rejected by a person: nothing of that was carried out.")
            await store.reject(connection, asking.id, reason)
            await _note(connection, asking, ApprovalState.REJECTED, ActionKind.REJECT)
            if asking.parent_id is not None:
                await store.end_waiting(connection, asking.parent_id, parents.format(step=asking.type, job=asking.id))
        return await self._decided(job_id, asking, asking.parent_id, "job_rejected")

    async def decide(self, approval_id: int, state: ApprovalState, seen: int | None) -> None:
        """Approve or reject a question. Raises ApprovalNotFound, and what `approve` raises."""
        decide = self.approve if state is ApprovalState.APPROVED else self.reject
        for _attempt in range(ATTEMPTS):
            async with self._database.acquire() as connection:
                question = await approvals.get(connection, approval_id)
            if question is None:
                raise ApprovalNotFound(_("There is no question {id}.").format(id=approval_id))
            if question.state is not ApprovalState.OPEN:
                break
            try:
                await decide(question.job_id, question=approval_id, seen=seen)
            except InvalidTransition:
                continue  # a newer run has just taken it over, or somebody has decided
            return
        raise InvalidTransition(_("This question is not open any more: there is nothing to approve or reject."))

    async def _let_parent_run(self, connection: Connection, step: Job) -> JobId | None:
        """Let the job go on that waits along with its step, unless a newer run for the same work is under way."""
        if step.parent_id is None:
            return None
        try:
            async with connection.transaction():
                parent = await store.resume(connection, step.parent_id)
                if parent is not None:
                    await self._enqueue(connection, parent)
        except UniqueViolationError:
            await _end_superseded(connection, step.parent_id)
        return step.parent_id

    async def _decided(self, job_id: JobId, asking: Job, parent_id: JobId | None, event: str) -> Job:
        for changed in (asking.id, parent_id):
            if changed is not None:
                self._notifier.changed(changed, at_once=True)
        log.info(event, store=asking.store, job_id=str(asking.id), type=str(asking.type))
        async with self._database.acquire() as connection:
            job = await store.get(connection, job_id)
        if job is None:
            raise unknown_job(job_id)
        return job


async def note_cancelled(connection: Connection, job: Job) -> JobId | None:
    """To cancel a job that waits is to reject its question; the job that waited along for it, which ends too, if any.

    Within the transaction that cancels it.
    """
    if await approvals.decide(connection, job.id, ApprovalState.REJECTED, actions.asker()) is None:
        return None
    if job.parent_id is None:
        return None
    with as_stored():
        reason = _("Its step {step}, job {job}, was cancelled while it waited for approval.")
    ended = await store.end_waiting(connection, job.parent_id, reason.format(step=job.type, job=job.id))
    return job.parent_id if ended else None


async def live_instead_of(database: Database, job_id: JobId) -> LiveJobExists | InvalidTransition:
    """What to raise where a job can't run because another one for the same work is live."""
    async with database.acquire() as connection:
        job = await store.get(connection, job_id)
        live = await store.find_live(connection, job.store, job.type, job.params) if job is not None else None
    return live_job(live) if live is not None else InvalidTransition(_("The other job has just ended: try again"))


def live_job(job: Job) -> LiveJobExists:
    """What to raise for a request that this live job stands in the way of."""
    return LiveJobExists(
        _("A {type} job of store {store} for exactly the same work is already {status}: {id}").format(
            type=job.type, store=job.store, status=job.status, id=job.id
        ),
        job.id,
    )


def unknown_job(job_id: JobId) -> JobNotFound:
    """What to raise where there is no job of this id."""
    return JobNotFound(
        _("There is no job {job_id}. `dongbo jobs list` shows the jobs that exist.").format(job_id=job_id)
    )


async def _asking(connection: Connection, job_id: JobId, question: int | None, seen: int | None) -> Job:
    """The job that asks, locked. Raises what `Decisions.approve` does."""
    asking = await store.lock_asking(connection, job_id)
    if asking is None:
        present = await store.get(connection, job_id)
        if present is None:
            raise unknown_job(job_id)
        raise InvalidTransition(
            _("Job {job_id} is {status}: there is nothing to approve or reject").format(
                job_id=job_id, status=present.status
            )
        )
    asked = await approvals.lock_open(connection, asking.id)
    if question is not None and (asked is None or asked.id != question):
        raise InvalidTransition(_("Job {job_id} asks another question by now").format(job_id=job_id))
    if asked is not None and seen is not None:
        await _refuse_unseen(connection, asked, seen)
    return asking


async def _refuse_unseen(connection: Connection, asked: AskedQuestion, seen: int) -> None:
    new = await approvals.new_changes(connection, asked.id, seen)
    if new.changes:
        sentence = ngettext(
            "This was asked anew after you looked at it, with {n} change that you have not seen: {examples}. "
            "Look at it, then decide.",
            "This was asked anew after you looked at it, with {n} changes that you have not seen, such as {examples}. "
            "Look at them, then decide.",
            new.changes,
        )
        raise AskedAnew(sentence.format(n=new.changes, examples=", ".join(new.examples)))


async def _note(connection: Connection, asking: Job, state: ApprovalState, kind: ActionKind) -> None:
    decided = await approvals.decide(connection, asking.id, state, actions.asker())
    if decided is None:
        return
    detail: Mapping[str, Any] = {"counts": decided.counts, "asked_changes": decided.asked_changes}
    await actions.note(
        connection, kind, asking.store, SubjectKind.APPROVAL, decided.id, job_id=asking.id, detail=detail
    )


async def _end_superseded(connection: Connection, job_id: JobId) -> None:
    waiting = await store.get(connection, job_id)
    if waiting is None:
        return
    newer = await store.find_live(connection, waiting.store, waiting.type, waiting.params)
    with as_stored():
        reason = _("A newer run took its place while its step waited for approval; the step goes on by itself.")
    await store.end_waiting(connection, job_id, reason, superseded_by=newer.id if newer is not None else None)
