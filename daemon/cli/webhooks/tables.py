"""Subscriptions and what came by them, as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from rich.text import Text

from daemon.api.webhooks import WebhookEventReport, Webhooks, WebhookStreamReport
from daemon.cli.render import output, values
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.webhooks.subscriptions import SubscriptionPlan, topic_name


class SubscriptionState(StrEnum):
    """How a subscription compares with what is wanted."""

    SUBSCRIBED = "subscribed"
    OTHER_FIELDS = "other fields"
    NOT_USED = "not used"
    OTHER_ADDRESS = "other address"
    MISSING = "missing"
    SCOPE_MISSING = "scope missing"


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A topic that an address is told of, or is to be told of; then there are no `fields`."""

    store: StoreName
    topic: str
    address: str
    state: SubscriptionState
    fields: tuple[str, ...] | None = None
    api_version: str | None = None
    updated_at: datetime | None = None


def subscription_rows(store: StoreName, plan: SubscriptionPlan) -> list[SubscriptionRow]:
    """A subscription each, and the topics that lack one, by topic."""
    present = (
        (SubscriptionState.SUBSCRIBED, plan.right),
        (SubscriptionState.OTHER_FIELDS, [subscribed for subscribed, _wanted in plan.changed]),
        (SubscriptionState.NOT_USED, plan.stale),
        (SubscriptionState.OTHER_ADDRESS, plan.elsewhere),
    )
    lacking = ((SubscriptionState.MISSING, plan.missing), (SubscriptionState.SCOPE_MISSING, plan.refused))
    rows = [
        SubscriptionRow(
            store, topic_name(each.topic), each.uri, state, each.include_fields, each.api_version, each.updated_at
        )
        for state, group in present
        for each in group
    ]
    rows += [SubscriptionRow(store, wanted.name, plan.uri, state) for state, group in lacking for wanted in group]
    return sorted(rows, key=lambda row: (row.topic, row.address))


def write_subscriptions(rows: Sequence[SubscriptionRow]) -> None:
    """Which address is told of what, those together that stand alike."""
    topics: dict[tuple[str, StoreName, SubscriptionState], list[str]] = {}
    for row in sorted(rows, key=lambda row: (row.store, list(SubscriptionState).index(row.state), row.address)):
        topics.setdefault((row.address, row.store, row.state), []).append(row.topic)
    columns = (_("address"), _("store"), _("state"), _("topics"))
    output.write_table(
        columns,
        [
            (Text(output.plain(address)), Text(store), _state_words(state), Text(output.plain(", ".join(names))))
            for (address, store, state), names in topics.items()
        ],
    )


def _state_words(state: SubscriptionState) -> Text:
    match state:
        case SubscriptionState.SUBSCRIBED:
            return Text(_("subscribed"), style="green")
        case SubscriptionState.OTHER_FIELDS:
            return Text(_("with other fields"), style="yellow")
        case SubscriptionState.NOT_USED:
            return Text(_("not used"), style="yellow")
        case SubscriptionState.OTHER_ADDRESS:
            return Text(_("another address"), style="dim")
        case SubscriptionState.MISSING:
            return Text(_("missing"), style="red")
        case SubscriptionState.SCOPE_MISSING:
            return Text(_("a scope is missing"), style="red")


def write_came(came: Webhooks, zone: tzinfo) -> None:
    """How the streams stand, and the events, newest first."""
    if came.streams:
        output.write_text("")
        columns = (_("store"), _("side"), _("last"), _("received"), _("repeated"), _("unknown"), _("refused"))
        output.write_table(columns, [_stream_row(each, zone) for each in came.streams], numbers=columns[3:])
    if came.events:
        output.write_text("")
        head = (_("received"), _("store"), _("topic"), _("names"), _("state"), _("outcome"))
        output.write_table(head, [_event_row(each, zone) for each in came.events], numbers=head[3:4])


def _stream_row(stream: WebhookStreamReport, zone: tzinfo) -> list[Text]:
    return [
        Text(stream.store),
        Text(stream.source),
        Text(values.moment(stream.last_event_at, zone)),
        *(Text(str(count)) for count in (stream.received, stream.repeated, stream.unknown)),
        Text(str(stream.refused), style="red" if stream.refused else ""),
    ]


def _event_row(event: WebhookEventReport, zone: tzinfo) -> list[Text]:
    return [
        Text(values.moment(event.received_at, zone)),
        Text(event.store),
        Text(output.plain(event.topic)),
        Text(str(event.names)),
        Text(event.state),
        Text(output.plain(event.outcome or "")),
    ]
