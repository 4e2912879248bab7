"""The product chain of a store: pull the products, pull the stock, match, push what differs; each step is a job.

Nhanh.vn's stock comes last of what is pulled: what is pushed was read at Nhanh.vn after what it is compared with at
Shopify. An order that was sent between the two would be sold again by the older figure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.errors import DongboError, InvalidJobRequest
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.ids import JobId
from daemon.jobs.context import JobContext, StepAsks
from daemon.jobs.model import Counters, Job, JobStatus
from daemon.jobs.service import Submission
from daemon.jobs.types import JobType
from daemon.tasks.params import ReadParams, object_schema, refuse_unknown
from daemon.tasks.registry import JobPolicy, Store, task

STOCK = (JobType.PULL_NHANH_INVENTORY,)
PRODUCTS = (JobType.PULL_NHANH_PRODUCTS, JobType.PULL_SHOPIFY_PRODUCTS)
LONGEST_PAUSE = timedelta(hours=1)  # of a chain that was stopped or retried; then it begins anew
PUSH = (JobType.MATCH_PRODUCTS, JobType.SYNC_PRODUCTS)


class StepFailed(DongboError):
    """A step did not succeed, so those after it did not begin."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a chain is; kept as JSON with the job."""

    ended: int = 0  # steps that have completed
    step_id: str | None = None  # the job of the step under way
    job_ids: tuple[str, ...] = ()  # of the steps that have completed
    began_at: str | None = None  # ISO 8601: when the first step was asked for

    def submitted(self, step: Job) -> "Progress":
        """The next step is under way."""
        return replace(self, step_id=str(step.id), began_at=self.began_at or datetime.now(UTC).isoformat())

    def completed(self, step: Job) -> "Progress":
        """The step under way has completed."""
        return replace(self, ended=self.ended + 1, step_id=None, job_ids=(*self.job_ids, str(step.id)))

    @property
    def is_stale(self) -> bool:
        """Whether its first steps have read what may long be different: a chain pushes no old stock."""
        if self.began_at is None or (self.step_id is not None and self.ended == 0):
            return False
        return datetime.now(UTC) - datetime.fromisoformat(self.began_at) > LONGEST_PAUSE


def _read_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """`pull_products`: whether the products of both sides are pulled, too; true unless it is said."""
    refuse_unknown(params, ["pull_products"])
    pull_products = params.get("pull_products", True)
    if not isinstance(pull_products, bool):
        raise InvalidJobRequest(_("params.pull_products must be true or false."))
    return {"pull_products": pull_products}


PARAMS = ReadParams(
    _read_params,
    object_schema(
        {
            "pull_products": {
                "type": "boolean",
                "default": True,
                "description": mark("Whether the products of both sides are pulled, too."),
            }
        },
        example={"pull_products": False},
    ),
)


@task(JobType.PRODUCT_CHAIN, PARAMS)
async def product_chain(context: JobContext, _store: Store, _policy: JobPolicy) -> None:
    """One row of the counters is one step: failed where rows of it have failed, updated where it has written something,
    else skipped.

    A step that does not complete ends the chain; the steps before it stand, and the next fire begins anew. While one
    waits for a person's approval, so does the chain, without a run of its own.
    """
    types = steps_of(context.params)
    chain = _Chain(context, types)
    progress = Progress(**context.job.checkpoint) if context.job.checkpoint else Progress()
    progress = replace(progress, job_ids=tuple(progress.job_ids))
    if progress.is_stale and not await chain.is_at_its_end(progress):
        progress = Progress()
    await context.describe(total=context.processed + len(types) - progress.ended, steps=chain.shown(progress))
    while progress.ended < len(types):
        progress = await chain.run_step(progress)


def steps_of(params: Mapping[str, Any]) -> tuple[JobType, ...]:
    """The types of a chain's steps, in their order."""
    return (*(PRODUCTS if params.get("pull_products", True) else ()), *STOCK, *PUSH)


class _Chain:
    def __init__(self, context: JobContext, types: tuple[JobType, ...]) -> None:
        self._context = context
        self._types = types

    async def run_step(self, progress: Progress) -> Progress:
        """Run the next step, or continue waiting for it; the progress after it."""
        progress, step_id = await self._submitted(progress)
        step = await self._context.unless_stopped(self._context.steps.wait(step_id))
        if step.status is not JobStatus.COMPLETED:
            await self._context.describe(total=self._context.total, steps=self.shown(progress, step))
            sentence = _explain(step, progress.ended + 1, len(self._types))
            if step.status is JobStatus.AWAITING_APPROVAL:
                raise StepAsks(step.id, sentence)
            raise StepFailed(sentence)
        following = progress.completed(step)
        async with self._context.page(checkpoint=asdict(following)) as page:
            page.metadata["steps"] = self.shown(following)
            page.count(_counted(step))
        return following

    async def is_at_its_end(self, progress: Progress) -> bool:
        """Whether its last step is under way, or was approved long after it had asked: nothing is begun after it."""
        return progress.ended == len(self._types) - 1 and await self._under_way(progress) is not None

    async def _submitted(self, progress: Progress) -> tuple[Progress, JobId]:
        """The step under way: the one that the progress names, if that can still complete, else a new one."""
        step = await self._under_way(progress)
        if step is not None:
            return progress, step.id
        while True:
            submission = await self._submit(progress)
            if submission.is_new:
                return progress.submitted(submission.job), submission.job.id
            # It may have begun before the change that this chain is there for: its own step comes after it.
            await self._context.unless_stopped(self._context.steps.wait(submission.job.id))

    async def _under_way(self, progress: Progress) -> Job | None:
        """The step that the progress names, unless it has ended without completing."""
        if progress.step_id is None:
            return None
        step = await self._context.steps.get(JobId(UUID(progress.step_id)))
        return None if step is None or step.status in (JobStatus.FAILED, JobStatus.CANCELLED) else step

    async def _submit(self, progress: Progress) -> Submission:
        """Make the next step and note it, in one transaction; or find another live job for the same work in the way."""
        job_type = self._types[progress.ended]
        async with self._context.page(checkpoint=asdict(progress), pages=0) as page:
            submission = await self._context.steps.submit_in(page.connection, self._context.job, job_type, {})
            if submission.is_new:
                under_way = progress.submitted(submission.job)
                page.checkpoint = asdict(under_way)
                page.metadata["steps"] = self.shown(under_way, submission.job)
        if submission.is_new:
            self._context.steps.jobs.announce(submission.job)
        return submission

    def shown(self, progress: Progress, step: Job | None = None) -> list[dict[str, str | None]]:
        """The steps for people; a step under way is looked up by its id."""
        ids = [*progress.job_ids, *([progress.step_id] if progress.step_id is not None else [])]
        return [
            {
                "type": job_type,
                "job_id": ids[place] if place < len(ids) else None,
                "status": self._status(progress, place, step),
            }
            for place, job_type in enumerate(self._types)
        ]

    @staticmethod
    def _status(progress: Progress, place: int, step: Job | None) -> str | None:
        if place < progress.ended:
            return JobStatus.COMPLETED
        return step.status if place == progress.ended and step is not None else None


def _counted(step: Job) -> Counters:
    """A step that has completed, as a row of its chain."""
    if step.failed:
        return Counters(failed=1)
    return Counters(updated=1) if step.successful else Counters(skipped=1)


def _explain(step: Job, number: int, steps: int) -> str:
    match step.status:
        case JobStatus.AWAITING_APPROVAL:
            sentence = _("Step {number} of {steps}, {step}, waits for a person: {reason}")
        case JobStatus.CANCELLED:
            sentence = _(
                "Step {number} of {steps}, {step}, was cancelled (job {job}), so the steps after it did not begin."
            )
        case _status:
            sentence = _("Step {number} of {steps}, {step}, did not complete (job {job}): {reason}")
    return sentence.format(number=number, steps=steps, step=step.type, job=step.id, reason=step.error)
