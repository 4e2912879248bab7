"""How far a run is with a campaign, whether it puts it on sale or takes it back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.errors import DongboError
from daemon.jobs.context import JobContext
from daemon.sales.model import Campaign
from daemon.sales.writing import not_read


@dataclass(slots=True)
class Course:
    """What both kinds of runs keep of a campaign."""

    campaign: Campaign
    error: DongboError | None = None  # why calls of this pass failed
    failed_rounds: int = 0  # one after the other, in which no call succeeded
    waits: bool = False  # only for what others have in their hands
    unread: dict[int, str] = field(default_factory=dict)  # variants whose prices can't be had in this run, and why

    async def leave_out(self, job: JobContext, unread: Mapping[int, str]) -> None:
        """Leave variants to the next run whose prices can't be had, and say so once."""
        news = {number: reason for number, reason in unread.items() if number not in self.unread}
        self.unread |= news
        if news:
            letters, self.error = not_read(self.campaign, self.unread)
            async with job.page(checkpoint=None, pages=0) as page:
                page.reject(letters[-len(news) :])
