"""How long to wait before a job of the sales that failed is asked for again."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from daemon.jobs.model import Job, JobStatus, JobTrigger

PAUSE_AFTER_FAILURE = timedelta(seconds=30)  # the shortest
LONGEST_PAUSE = timedelta(minutes=10)
JOBS_COMPARED = 6  # as many as take the pause to its longest

# What differs from time to time in what a source says of the very same failure: ids of requests, and waits.
_PASSING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9]+(?:\.[0-9]+)? s\b", re.IGNORECASE)


def pause_after(newest: Sequence[Job], changed_at: datetime | None) -> timedelta:
    """How long to wait after jobs of one store and type, newest first, of which the last has not done its work.

    The shortest pause, doubled up to the longest for each job in a row that has failed in the very same way. It begins
    anew where anything is different: another error, a row that a job has got done, a job that a person has asked for,
    or a campaign of the store that has changed (`changed_at`: when one did last), such as by its end. It follows from
    the jobs' rows alone, and so holds across restarts, and for all daemons together.
    """
    failures = 0
    for job in newest[:JOBS_COMPARED]:
        is_same = job.status is JobStatus.FAILED and _cause(job) == _cause(newest[0])
        if not is_same or (changed_at is not None and job.created_at < changed_at):
            break
        failures += 1
        if job.successful or job.trigger is not JobTrigger.SCHEDULE:
            break
    return min(PAUSE_AFTER_FAILURE * (1 << max(failures - 1, 0)), LONGEST_PAUSE)


def _cause(job: Job) -> str:
    return _PASSING.sub("", job.error or "")
