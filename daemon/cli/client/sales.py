"""The endpoint's routes about sale campaigns, as methods."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.documents_sales import (
    CampaignDetailDocument,
    CampaignDocument,
    ItemDetailDocument,
    ItemDocument,
    PreviewDocument,
    ReportDocument,
)

PAGE = 500  # variants asked for at once

Action = Literal["apply", "revert", "cancel"]
CSV = {"format": "csv"}


class SalesClient:
    """What may be asked of the campaigns of a daemon; errors are those of `DaemonClient`, and SaleNotFound.

    A campaign is named by its id, or by its name with, where stores share it, the store.
    """

    def __init__(self, client: DaemonClient) -> None:
        self.daemon = client

    async def list_campaigns(
        self, *, store: str | None, state: str | None, is_open: bool, limit: int
    ) -> list[CampaignDocument]:
        """At most `limit` campaigns, newest first; `is_open`: only those that have not ended."""
        query = _given(store=store, state=state, open="true" if is_open else None, limit=str(limit))
        answer = await self.daemon.call("GET", "/api/sales", query=query)
        return cast("list[CampaignDocument]", answer["sales"])

    async def get(self, reference: str, store: str | None = None) -> CampaignDetailDocument:
        """A campaign with its history."""
        answer = await self.daemon.call("GET", _path(reference), query=_given(store=store))
        return cast("CampaignDetailDocument", answer)

    async def create(self, definition: Mapping[str, Any], *, is_draft: bool) -> CampaignDetailDocument:
        """Make a campaign of a definition."""
        body = {**definition, "draft": is_draft, "origin": "cli"}
        return cast("CampaignDetailDocument", await self.daemon.call("POST", "/api/sales", body=body))

    async def preview_definition(self, definition: Mapping[str, Any]) -> PreviewDocument:
        """What a definition would do."""
        return cast("PreviewDocument", await self.daemon.call("POST", "/api/sales/preview", body=definition))

    async def preview_definition_csv(self, definition: Mapping[str, Any]) -> bytes:
        """The same as CSV."""
        return await self.daemon.fetch("POST", "/api/sales/preview", query=CSV, body=definition)

    async def preview(self, reference: str, store: str | None = None) -> PreviewDocument:
        """What a campaign would do, or was to do."""
        answer = await self.daemon.call("GET", _path(reference, "preview"), query=_given(store=store))
        return cast("PreviewDocument", answer)

    async def preview_csv(self, reference: str, store: str | None = None) -> bytes:
        """The same as CSV."""
        return await self.daemon.fetch("GET", _path(reference, "preview"), query=_given(store=store) | CSV)

    async def items(self, reference: str, *, state: str | None = None, limit: int | None = None) -> list[ItemDocument]:
        """The variants of a campaign, all of them or at most `limit`."""
        found: list[ItemDocument] = []
        after: str | None = None
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            query = _given(state=state, after=after, limit=str(size))
            answer = await self.daemon.call("GET", _path(reference, "items"), query=query)
            found += answer["items"]
            after = answer["next"]
            if after is None:
                break
        return found

    async def item(self, reference: str, variant_id: int) -> ItemDetailDocument:
        """A variant of a campaign with all that was written of it."""
        answer = await self.daemon.call("GET", _path(reference, "items", str(variant_id)))
        return cast("ItemDetailDocument", answer)

    async def act(self, reference: str, action: Action) -> CampaignDetailDocument:
        """Start a campaign now, take it back, or call it off."""
        return cast("CampaignDetailDocument", await self.daemon.call("POST", _path(reference, action)))

    async def resume(
        self, reference: str, decision: Literal["keep", "restore"] | None, variants: Sequence[int] | None
    ) -> CampaignDetailDocument:
        """Go on with a campaign, after deciding about drifted variants (None: all of them)."""
        body = {"decision": decision, "variants": variants}
        return cast("CampaignDetailDocument", await self.daemon.call("POST", _path(reference, "resume"), body=body))

    async def report(self, reference: str, store: str | None = None) -> ReportDocument:
        """What a campaign has done."""
        answer = await self.daemon.call("GET", _path(reference, "report"), query=_given(store=store))
        return cast("ReportDocument", answer)

    async def report_csv(self, reference: str, store: str | None = None) -> bytes:
        """Its variants as CSV."""
        return await self.daemon.fetch("GET", _path(reference, "report"), query=_given(store=store) | CSV)


def _path(*parts: str) -> str:
    return "/".join(("/api/sales", *(quote(part, safe="") for part in parts)))


def _given(**query: str | None) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}
