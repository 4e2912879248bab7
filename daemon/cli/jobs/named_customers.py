"""What came of each customer whom a sync was asked for by phone number or id."""

from collections.abc import Mapping, Sequence

from rich.text import Text

from daemon.api.customers import CustomerHit, CustomerState
from daemon.api.pushes import Push, PushKind, PushResult
from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.items import ItemsClient
from daemon.cli.render import output
from daemon.cli.render.output import plain
from daemon.i18n import gettext as _
from daemon.jobs.model import Job

MOST_HITS = 20  # customers that have a number
MOST_PUSHES = 1_000  # of a job: a hundred customers have three values each


async def write_customers(client: DaemonClient, job: Job) -> None:
    """Write a row for each customer whom a job was about, and for each number or id that is nobody's."""
    failures = {letter.source_id: letter.reason for letter in await client.failures(job.id)}
    pushed: dict[int, list[Push]] = {}
    for push in await client.pushes(job.id, limit=MOST_PUSHES):
        pushed.setdefault(push.owner_id, []).append(push)
    shop = ItemsClient(client, job.store)
    rows: list[Sequence[Text | str]] = []
    for name in map(str, (*job.params.get("customers", ()), *job.params.get("ids", ()))):
        found = (await shop.customers(name, state=None, limit=MOST_HITS)).customers
        rows += [(name, _customer(hit), _outcome(hit, pushed, failures)) for hit in found]
        if not found or name in failures:
            rows.append((name, "–", plain(failures.get(name, _("nobody is known by it")))))
    output.write_table([_("asked for"), _("customer"), _("what came of it")], rows)


def _customer(hit: CustomerHit) -> str:
    number = hit.shopify_id or hit.nhanh_id
    return f"{plain(hit.name or '')} {number}".strip()


def _outcome(hit: CustomerHit, pushed: Mapping[int, Sequence[Push]], failures: Mapping[str | None, str]) -> str:
    """What was pushed and why; else why nothing was."""
    if hit.shopify_id is None or hit.state is not CustomerState.MAPPED:
        return plain(hit.text)
    said = [_said(push) for push in pushed.get(hit.shopify_id, ())]
    if reason := failures.get(str(hit.shopify_id)):
        said.append(plain(reason))
    if not said:
        return _("nothing differed")
    reasons = dict.fromkeys(plain(push.reason) for push in pushed.get(hit.shopify_id, ()))
    return "\n".join([*said, *reasons])


def _said(push: Push) -> str:
    what = _("tags") if push.kind is PushKind.TAGS else plain(push.name or "")
    change = f"{what}: {plain(push.old_value or '–')} → {plain(push.new_value or '–')}"
    if push.result is PushResult.APPLIED:
        return change
    return f"{change} ({push.result}{': ' + plain(push.detail) if push.detail else ''})"
