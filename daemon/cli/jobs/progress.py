"""How followed jobs are shown: progress bars on a terminal, plain lines off it, JSON lines for programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daemon.cli.jobs import wording
from daemon.cli.jobs.following import View
from daemon.cli.jobs.wording import is_live
from daemon.cli.render import output, values
from daemon.i18n import gettext as _
from daemon.ids import JobId
from daemon.jobs.model import Job

FRAMES_PER_SECOND = 8
BAR_WIDTH = 24  # columns


@contextmanager
def open_view(stream: TextIO, *, zone: tzinfo, summarise: bool) -> Iterator[View]:
    """The view for people that fits the stream.

    Args:
        stream: standard output where the jobs are the command's result, else standard error.
        zone: of the times shown.
        summarise: whether a job that has ended leaves a line; else it vanishes.
    """
    if not stream.isatty():
        yield LineView(stream, zone)
        return
    console = output.data_console() if stream is sys.stdout else output.side_console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveView(live, console, summarise=summarise)


class JsonView:
    """Every state of every job as one line of JSON on standard output."""

    interval = 60.0

    def update(self, job: Job) -> None:
        """Write the state."""
        output.write_json_line(job)

    def forget(self, job_id: JobId) -> None:
        """It has no state left to write."""

    def tick(self) -> None:
        """Nothing is held back."""

    def remark(self, text: str) -> None:
        """Say it on standard error."""
        output.say(f"dongbo: {text}")


class LineView:
    """One line per change, at most one a second per job; a change of status is shown at once."""

    interval = 1.0

    def __init__(self, stream: TextIO, zone: tzinfo) -> None:
        self._stream = stream
        self._zone = zone
        self._shown: dict[JobId, Job] = {}
        self._pending: dict[JobId, Job] = {}

    def update(self, job: Job) -> None:
        """Show a change of status now, and everything else at the next tick."""
        shown = self._shown.get(job.id)
        if shown is None or shown.status != job.status:
            self._pending.pop(job.id, None)
            self._write(job)
        else:
            self._pending[job.id] = job

    def forget(self, job_id: JobId) -> None:
        """Say so."""
        self._pending.pop(job_id, None)
        if self._shown.pop(job_id, None) is not None:
            self.remark(_("the job {job_id} was deleted").format(job_id=job_id))

    def tick(self) -> None:
        """Show what has changed since the last tick."""
        pending, self._pending = self._pending, {}
        for job in pending.values():
            self._write(job)

    def remark(self, text: str) -> None:
        """Say it on standard error."""
        output.say(f"dongbo: {text}")

    def _write(self, job: Job) -> None:
        time = datetime.now(self._zone).strftime("%H:%M:%S")
        note = wording.note(job, self._shown.get(job.id))
        parts = [job.type, job.store, job.status, wording.percent(job), wording.rows(job), wording.rate(job)]
        line = "  ".join(filter(None, [time, str(job.id), " ".join(filter(None, parts)), wording.counters(job), note]))
        known = wording.notices(self._shown[job.id]) if job.id in self._shown else []
        new = [f"{time}  {job.id}  {notice}" for notice in wording.notices(job) if notice not in known]
        self._stream.writelines(f"{output.plain(each)}\n" for each in (line, *new))
        self._stream.flush()
        self._shown[job.id] = job
        if not is_live(job):
            del self._shown[job.id]


class LiveView:
    """Two lines per live job, redrawn several times a second: bar, share, time left; rows, rate, counters, waits."""

    interval = 1 / FRAMES_PER_SECOND

    def __init__(self, live: Live, console: Console, *, summarise: bool) -> None:
        self._live = live
        self._console = console
        self._summarise = summarise
        self._jobs: dict[JobId, Job] = {}
        self._notes: dict[JobId, str] = {}
        self._remark = ""

    def update(self, job: Job) -> None:
        """Draw the job from now on, or drop it once it has ended."""
        before = self._jobs.get(job.id)
        if is_live(job):
            self._jobs[job.id] = job
            self._notes[job.id] = wording.note(job, before)
            return
        self._jobs.pop(job.id, None)
        self._notes.pop(job.id, None)
        if self._summarise:
            self._console.print(ended(job))

    def forget(self, job_id: JobId) -> None:
        """Stop drawing the job."""
        self._jobs.pop(job_id, None)
        self._notes.pop(job_id, None)

    def tick(self) -> None:
        """Draw the next frame."""
        self._live.update(self._frame(), refresh=True)

    def remark(self, text: str) -> None:
        """Show it below the jobs until there is another."""
        self._remark = text

    def _frame(self) -> RenderableType:
        lines: list[RenderableType] = []
        for job_id, job in self._jobs.items():
            lines += [_bar(job), _details(job, self._notes[job_id])]
        if not self._jobs and self._summarise:
            lines.append(Text(_("No job is running. Ctrl-C ends this."), style="dim"))
        if self._remark:
            lines.append(Text(self._remark, style="yellow"))
        return Group(*lines)


def ended(job: Job) -> Text:
    """An ended job in one line, with its error and its notices where it has any."""
    sign = {"COMPLETED": "✓", "AWAITING_APPROVAL": "?"}.get(job.status, "✗")
    text = Text.assemble((f"{sign} ", wording.STATUS_STYLES[job.status]), wording.summary(job))
    if job.error:
        text.append(f"\n  {output.plain(job.error)}", style=wording.STATUS_STYLES[job.status])
    for notice in wording.notices(job):
        text.append(f"\n  {notice}", style="bold yellow")
    return text


def _bar(job: Job) -> Table:
    done = wording.share(job)
    bar = ProgressBar(
        total=None if done is None else 1.0,
        completed=done or 0.0,
        pulse=done is None and job.status == "RUNNING",
        width=BAR_WIDTH,
    )
    eta = job.eta_seconds
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=22, no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(width=BAR_WIDTH)
    grid.add_column(justify="right", width=5)
    grid.add_column(no_wrap=True)
    grid.add_row(
        Text(job.type, style="bold"),
        Text(job.store),
        bar if job.status == "RUNNING" else Text(job.status, style=wording.STATUS_STYLES[job.status]),
        Text(wording.percent(job) if job.status == "RUNNING" else ""),
        Text(_("ETA {eta}").format(eta=values.duration(eta)) if eta is not None else ""),
    )
    return grid


def _details(job: Job, note: str) -> Text:
    parts = [wording.rows(job), wording.rate(job), wording.counters(job)] if job.status == "RUNNING" else []
    text = Text("  " + " · ".join(filter(None, parts)), style="dim")
    if note:
        text.append(f"{' · ' if parts else ''}{note}", style="yellow not dim")
    return text
