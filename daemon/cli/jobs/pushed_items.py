"""What a sync of a few items has done about each of them, and why: by what it pushed, else by their verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from daemon.api.items import Item
from daemon.api.pushes import Push, PushKind
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.items import ItemsClient
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.jobs.model import Job, JobFailure

MOST_PUSHES = 1_000  # of a job that are shown
MOST_FAILURES = 200

WORDS: Final[Mapping[PushKind, str]] = {
    PushKind.STOCK: mark("stock"),
    PushKind.ACTIVATION: mark("stocked"),
    PushKind.PRICE: mark("price"),
    PushKind.COMPARE_AT_PRICE: mark("compare-at price"),
}


async def write_pushed_items(client: DaemonClient, job: Job) -> None:
    """Write it, item by item; then what stands for nothing or has failed."""
    pushes = await client.pushes(job.id, limit=MOST_PUSHES)
    failures = await client.failures(job.id, limit=MOST_FAILURES)
    items = ItemsClient(client, job.store)
    failed = {failure.source_id for failure in failures}
    console = output.data_console()
    for variant_id in _named(job, pushes):
        own = [push for push in pushes if push.owner_id == variant_id]
        if own:
            _write_pushes(console, own)
        elif str(variant_id) not in failed:
            _write_item(console, await items.item(variant_id))
    for failure in failures:
        _write_failure(console, failure)


def _named(job: Job, pushes: Iterable[Push]) -> Sequence[int]:
    """The variants that the job was about, each once, in the order in which they were named."""
    named: Mapping[str, Sequence[int]] = job.metadata.get("named") or {}
    asked = [*(job.params.get("variants") or ()), *(number for numbers in named.values() for number in numbers)]
    return list(dict.fromkeys([*asked, *(push.owner_id for push in pushes)]))


def _write_pushes(console: Console, pushes: Sequence[Push]) -> None:
    _write_name(console, pushes[0].sku, pushes[0].title, pushes[0].owner_id)
    for push in pushes:
        place = " ".join(filter(None, [_(WORDS[push.kind]) if push.kind in WORDS else push.kind, _place(push)]))
        change = f"{values.value(push.old_value)} → {values.value(push.new_value)}"
        said = f" ({plain(push.detail)})" if push.detail else ""
        console.print(
            Text.assemble(f"  {place}: {change}  ", (push.result, values.RESULT_STYLES.get(push.result, "")), said),
            soft_wrap=True,
        )
        console.print(Text(f"    {plain(push.reason)}", style="dim"), soft_wrap=True)


def _place(push: Push) -> str:
    if push.location_id is None:
        return ""
    return _("at {location}").format(location=plain(push.location_name or str(push.location_id)))


def _write_item(console: Console, item: Item) -> None:
    _write_name(console, item.variant.sku, item.variant.title, item.variant.variant_id)
    verdict = item.verdict
    console.print(Text(f"  {plain(verdict.text)}", style=values.TONE_STYLES[verdict.tone]), soft_wrap=True)


def _write_name(console: Console, sku: str | None, title: str | None, variant_id: int) -> None:
    name = plain(sku) if sku else str(variant_id)
    console.print(Text.assemble((name, "bold"), f"  {plain(title)}" if title else ""), soft_wrap=True)


def _write_failure(console: Console, failure: JobFailure) -> None:
    console.print(Text.assemble((plain(failure.source_id or "–"), "bold red")), soft_wrap=True)
    console.print(f"  {plain(failure.reason)}", soft_wrap=True)
