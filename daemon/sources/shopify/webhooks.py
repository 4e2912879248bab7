"""What Shopify has been asked to tell by webhooks: the subscriptions of one app in one shop.

Shopify's schema, webhookSubscriptions: only those that were made by the API are listed, not those in an app's
configuration file.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from daemon.errors import SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.decode import Moment
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import SMALL_COST, GraphqlEndpoint, whole_page
from daemon.sources.shopify.operations import GraphqlOperation

PAGE = 100  # an app has a few; one for each topic and address
MAX_PAGES = 20
JSON = "JSON"


class SubscribedTopic(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription: a topic, and the address that is told of it.

    Args:
        id: the global id.
        topic: in Shopify's words, such as PRODUCTS_UPDATE.
        uri: where its webhooks go.
        format: JSON or XML.
        filter: which of the events are told; empty: all.
        include_fields: of the body; empty: all.
        api_version: of the body.
        updated_at: by Shopify's clock.
    """

    id: str
    topic: str
    uri: str
    format: str
    filter: str
    include_fields: tuple[str, ...]
    api_version: str
    updated_at: datetime


class WebhookSubscriptions:
    """Lists, makes, changes and deletes subscriptions."""

    def __init__(self, endpoint: GraphqlEndpoint) -> None:
        self._endpoint = endpoint

    async def all(self, *, meter: CallMeter) -> list[SubscribedTopic]:
        """All subscriptions of the app in the shop, to whatever address.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found: list[SubscribedTopic] = []
        cursor: str | None = None

        def read(data: dict[str, Any]) -> tuple[list[SubscribedTopic], str | None]:
            nodes, following = whole_page(data["webhookSubscriptions"])
            return [_read(node) for node in nodes], following

        for _page in range(MAX_PAGES):
            page, cursor = await self._endpoint.query(
                operations.WEBHOOK_SUBSCRIPTIONS,
                {"first": PAGE, "after": cursor},
                meter,
                read=read,
                estimate=SMALL_COST,
            )
            found += page
            if cursor is None:
                return found
        raise SourceUnavailable(
            _("Reading the webhook subscriptions of {source} stopped: their list does not end.").format(
                source=self._endpoint.source
            )
        )

    async def create(self, topic: str, uri: str, include_fields: Sequence[str], *, meter: CallMeter) -> None:
        """Subscribe an address to a topic. Sent again after a lost answer, this is refused, since it exists by then.

        Raises:
            SourceRefused: Shopify does not want it, and says why; or as every call.
            RateLimited, SourceUnavailable: after the retries.
        """
        await self._write(
            operations.CREATE_WEBHOOK_SUBSCRIPTION,
            "webhookSubscriptionCreate",
            {"topic": topic, "subscription": {"uri": uri, "format": JSON, "includeFields": list(include_fields)}},
            meter,
        )

    async def update(self, subscription_id: str, include_fields: Sequence[str], *, meter: CallMeter) -> None:
        """Let a subscription tell every event, as JSON with these fields. Raises as `create`."""
        await self._write(
            operations.UPDATE_WEBHOOK_SUBSCRIPTION,
            "webhookSubscriptionUpdate",
            {
                "id": subscription_id,
                "subscription": {"format": JSON, "filter": None, "includeFields": list(include_fields)},
            },
            meter,
        )

    async def delete(self, subscription_id: str, *, meter: CallMeter) -> None:
        """Delete a subscription. Raises as `create`."""
        await self._write(
            operations.DELETE_WEBHOOK_SUBSCRIPTION, "webhookSubscriptionDelete", {"id": subscription_id}, meter
        )

    async def _write(
        self, operation: GraphqlOperation, mutation: str, variables: dict[str, Any], meter: CallMeter
    ) -> None:
        def read(data: dict[str, Any]) -> list[str]:
            return [str(error["message"]) for error in data[mutation]["userErrors"]]

        refusals = await self._endpoint.query(operation, variables, meter, read=read, estimate=SMALL_COST)
        if refusals:
            raise SourceRefused(
                _("{source} refuses the webhook subscription: {reason}").format(
                    source=self._endpoint.source, reason="; ".join(refusals)
                )
            )


def _read(node: dict[str, Any]) -> SubscribedTopic:
    """Raises KeyError, TypeError or ValueError where it can't be read."""
    return SubscribedTopic(
        id=str(node["id"]),
        topic=str(node["topic"]),
        uri=str(node["uri"]),
        format=str(node["format"]),
        filter=str(node["filter"] or ""),
        include_fields=tuple(str(name) for name in node["includeFields"]),
        api_version=str(node["apiVersion"]["handle"]),
        updated_at=msgspec.convert(node["updatedAt"], Moment),
    )
