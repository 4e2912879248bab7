"""The endpoint's routes for sale campaigns, as methods."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from daemon.api.sales import (
    Decision,
    ResumeBody,
    Sale,
    SaleDetail,
    SaleItem,
    SaleItemDetail,
    SaleItemList,
    SaleList,
    SalePreview,
    SaleReport,
)
from daemon.cli.client.daemon import DaemonClient, given

PAGE = 500  # variants asked for at once

Action = Literal["apply", "revert", "cancel"]
CSV = {"format": "csv"}


class SalesClient:
    """What a daemon can be asked about campaigns; errors are those of `DaemonClient`, and SaleNotFound.

    A campaign is named by its id, or by its name with, where stores share it, the store.
    """

    def __init__(self, client: DaemonClient) -> None:
        self.daemon = client

    async def list_campaigns(
        self, *, store: str | None, state: str | None, is_open: bool, limit: int
    ) -> Sequence[Sale]:
        """At most `limit` campaigns, newest first; `is_open`: only those that have not ended."""
        query = given(store=store, state=state, open="true" if is_open else None, limit=str(limit))
        return (await self.daemon.ask(SaleList, "GET", "/api/sales", query=query)).sales

    async def get(self, reference: str, store: str | None = None) -> SaleDetail:
        """A campaign with its history."""
        return await self.daemon.ask(SaleDetail, "GET", _path(reference), query=given(store=store))

    async def create(self, definition: Mapping[str, Any], *, is_draft: bool) -> SaleDetail:
        """Make a campaign of a definition."""
        body = {**definition, "draft": is_draft, "origin": "cli"}
        return await self.daemon.ask(SaleDetail, "POST", "/api/sales", body=body)

    async def preview_definition(self, definition: Mapping[str, Any]) -> SalePreview:
        """What a definition would do."""
        return await self.daemon.ask(SalePreview, "POST", "/api/sales/preview", body=definition)

    async def preview_definition_csv(self, definition: Mapping[str, Any]) -> bytes:
        """The same as CSV."""
        return await self.daemon.fetch("POST", "/api/sales/preview", query=CSV, body=definition)

    async def preview(self, reference: str, store: str | None = None) -> SalePreview:
        """What a campaign would do, or was to do."""
        return await self.daemon.ask(SalePreview, "GET", _path(reference, "preview"), query=given(store=store))

    async def preview_csv(self, reference: str, store: str | None = None) -> bytes:
        """The same as CSV."""
        return await self.daemon.fetch("GET", _path(reference, "preview"), query=given(store=store) | CSV)

    async def items(self, reference: str, *, state: str | None = None, limit: int | None = None) -> list[SaleItem]:
        """The variants of a campaign, all of them or at most `limit`."""
        found: list[SaleItem] = []
        after: str | None = None
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            query = given(state=state, after=after, limit=str(size))
            page = await self.daemon.ask(SaleItemList, "GET", _path(reference, "items"), query=query)
            found += page.items
            after = page.next
            if after is None:
                break
        return found

    async def item(self, reference: str, variant_id: int) -> SaleItemDetail:
        """A variant of a campaign with all writes of its prices."""
        return await self.daemon.ask(SaleItemDetail, "GET", _path(reference, "items", str(variant_id)))

    async def act(self, reference: str, action: Action) -> SaleDetail:
        """Start a campaign now, revert it, or call it off."""
        return await self.daemon.ask(SaleDetail, "POST", _path(reference, action))

    async def resume(self, reference: str, decision: Decision | None, variants: Sequence[int] | None) -> SaleDetail:
        """Resume a campaign, after deciding about drifted variants (None: all of them)."""
        body = ResumeBody(decision, list(variants) if variants is not None else None)
        return await self.daemon.ask(SaleDetail, "POST", _path(reference, "resume"), body=body)

    async def report(self, reference: str, store: str | None = None) -> SaleReport:
        """What a campaign has done."""
        return await self.daemon.ask(SaleReport, "GET", _path(reference, "report"), query=given(store=store))

    async def report_csv(self, reference: str, store: str | None = None) -> bytes:
        """Its variants as CSV."""
        return await self.daemon.fetch("GET", _path(reference, "report"), query=given(store=store) | CSV)


def _path(*parts: str) -> str:
    return "/".join(("/api/sales", *(quote(part, safe="") for part in parts)))
