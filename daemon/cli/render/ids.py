"""Ids of jobs: short where a person reads them, whole where a program does.

A job's id begins with the millisecond in which it was made (`daemon.ids`), which as a rule is one job's alone; where it
is not, as many digits follow as tell those apart that are shown. A command takes any beginning that fits one job.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from daemon.cli.render import output

SHORT = 13  # characters: the millisecond


def short_id(job_id: UUID) -> str:
    """The id as a terminal shows it, whole off a terminal."""
    return short_ids([job_id])[job_id]


def short_ids(job_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The ids as a terminal shows them side by side, whole off a terminal."""
    ids = sorted(set(map(str, job_ids)))
    if not output.data_console().is_terminal:
        return {UUID(each): each for each in ids}
    neighbours = zip(["", *ids], ids, [*ids[1:], ""], strict=False)
    return {UUID(each): each[: _needed(each, before, after)] for before, each, after in neighbours}


def _needed(each: str, before: str, after: str) -> int:
    length = SHORT
    while length < len(each) and (before[:length] == each[:length] or after[:length] == each[:length]):
        length += 1
    return length
