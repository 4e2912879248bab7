"""Sale campaigns: list, create, preview, look, start, end, cancel, decide, and the report."""

import tempfile
from collections.abc import Mapping
from typing import IO

from aiohttp import hdrs, web

from daemon.api.sales import (
    CampaignState,
    Format,
    FormatQuery,
    ResumeBody,
    SaleDetail,
    SaleFormatQuery,
    SaleItemDetail,
    SaleItemList,
    SaleItemsQuery,
    SaleList,
    SalePreview,
    SaleQuery,
    SaleReport,
    SalesQuery,
)
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.steering import Role
from daemon.sales import campaigns, items, journal, preview, records, report
from daemon.sales.model import Campaign
from daemon.sales.service import Preview
from daemon.status.handlers.sale_requests import (
    BODY_LIMIT,
    SaleBody,
    item_cursor,
    read_item_cursor,
    read_reference,
    read_sale,
)
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.problems import Problem
from daemon.status.reading import JSON_TYPE, paged, read_body, read_query, read_source_id

CSV_TYPE = "text/csv"
NOT_BEGUN = (CampaignState.DRAFT, CampaignState.SCHEDULED)


async def list_sales(request: web.Request) -> web.Response:
    """Newest first."""
    query, parts = read_query(request, SalesQuery), request.app[PARTS]
    async with parts.database.reading() as connection:
        found = await campaigns.list_campaigns(
            connection,
            store=StoreName(query.store) if query.store is not None else None,
            state=query.state,
            only_open=query.open,
            limit=query.limit,
        )
        counts = await items.count_each_by_state(connection, [campaign.id for campaign in found])
    now = parts.sales.clock()
    return json_response(SaleList([records.sale_of(campaign, counts[campaign.id], now) for campaign in found]))


async def create_sale(request: web.Request) -> web.Response:
    """Make a campaign."""
    body, parts = await read_sale(request), request.app[PARTS]
    definition = parts.sales.read(body.definition)
    campaign = await parts.sales.create(definition, body.origin, is_draft=body.draft)
    parts.sale_clock.look()
    return json_response(await _detail(request, campaign), 201, location=f"/api/sales/{campaign.id}")


async def preview_new_sale(request: web.Request) -> web.Response:
    """What a campaign that does not exist yet would do."""
    query, body = read_query(request, FormatQuery), await read_sale(request)
    sales = request.app[PARTS].sales
    return await _shown(await sales.preview(sales.read(body.definition)), query.format)


async def get_sale(request: web.Request) -> web.Response:
    """One campaign."""
    return json_response(await _detail(request, await _campaign(request, read_query(request, SaleQuery))))


async def preview_sale(request: web.Request) -> web.Response:
    """What a campaign would do; for one that has begun, what it was meant to do."""
    query, parts = read_query(request, SaleFormatQuery), request.app[PARTS]
    campaign = await _campaign(request, query)
    if campaign.state in NOT_BEGUN:
        return await _shown(await parts.sales.preview(campaign.definition, campaign.id), query.format)
    async with parts.database.reading() as connection:
        planned = await report.read_plan(connection, campaign.id)
    return await _shown(Preview(campaign.definition, planned), query.format)


async def list_items(request: web.Request) -> web.Response:
    """A campaign's variants."""
    query = read_query(request, SaleItemsQuery)
    campaign, after = await _campaign(request, query), read_item_cursor(query.after)
    states = [query.state] if query.state is not None else None
    async with request.app[PARTS].database.reading() as connection:
        found = await items.list_items(connection, campaign.id, states, after=after, limit=query.limit + 1)
    page, cursor = paged(found, query.limit, lambda item: item_cursor(item.product_id, item.variant_id))
    return json_response(SaleItemList([records.item_of(item) for item in page], cursor))


async def get_item(request: web.Request) -> web.Response:
    """One variant of a campaign."""
    variant_id = read_source_id(request, "variant_id")
    campaign = await _campaign(request, read_query(request, SaleQuery))
    async with request.app[PARTS].database.acquire() as connection:
        item = await items.get(connection, campaign.id, variant_id)
        if item is None:
            raise Problem(404, _("The sale has no such variant: GET …/items lists those that it has"))
        writes = await journal.list_of_variant(connection, campaign.id, variant_id)
    return json_response(records.item_detail_of(item, writes))


async def apply_sale(request: web.Request) -> web.Response:
    """Start a campaign now."""
    campaign = await _campaign(request, read_query(request, SaleQuery))
    return await _changed(request, await request.app[PARTS].sales.start_now(campaign))


async def revert_sale(request: web.Request) -> web.Response:
    """End a campaign now."""
    campaign = await _campaign(request, read_query(request, SaleQuery))
    return await _changed(request, await request.app[PARTS].sales.end_now(campaign))


async def cancel_sale(request: web.Request) -> web.Response:
    """Call off a campaign."""
    campaign = await _campaign(request, read_query(request, SaleQuery))
    return await _changed(request, await request.app[PARTS].sales.cancel(campaign))


async def resume_sale(request: web.Request) -> web.Response:
    """Resume a campaign that waits for a person."""
    query, body = read_query(request, SaleQuery), await read_body(request, ResumeBody, BODY_LIMIT)
    if body.variants is not None and body.decision is None:
        raise Problem(422, _('The body is wrong: variants needs a decision, "keep" or "restore"'))
    campaign = await _campaign(request, query)
    return await _changed(request, await request.app[PARTS].sales.resume(campaign, body.decision, body.variants))


async def get_report(request: web.Request) -> web.Response:
    """The proof of a campaign."""
    query = read_query(request, SaleFormatQuery)
    campaign = await _campaign(request, query)
    # Not in memory, since it may be long; nor sent while it is read, since a slow reader would hold up the connection.
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        async with request.app[PARTS].database.reading() as connection:
            await report.write(connection, campaign.id, file, as_csv=query.format == "csv")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return _file(file, f"{campaign.name}-report", query.format)


async def _campaign(request: web.Request, query: SaleQuery) -> Campaign:
    """The campaign that the path names. Raises SaleNotFound, and SaleConflict where stores share the name."""
    store = StoreName(query.store) if query.store is not None else None
    return await request.app[PARTS].sales.find(read_reference(request), store)


async def _changed(request: web.Request, campaign: Campaign) -> web.Response:
    request.app[PARTS].sale_clock.look()
    return json_response(await _detail(request, campaign), 202)


async def _detail(request: web.Request, campaign: Campaign) -> SaleDetail:
    parts = request.app[PARTS]
    async with parts.database.acquire() as connection:
        present = await campaigns.get(connection, campaign.id) or campaign
        counts = await items.count_by_state(connection, campaign.id)
        drifting = await items.count_drifting(connection, campaign.id)
        times = await report.read_times(connection, campaign.id)
        events = await campaigns.list_events(connection, campaign.id)
    return records.detail_of(present, counts, parts.sales.clock(), drifting=drifting, times=times, events=events)


async def _shown(planned: Preview, form: Format) -> web.Response:
    if form == "csv":
        return _file(await preview.as_csv(planned), f"{planned.definition.name}-preview", form)
    return web.Response(body=await preview.as_json(planned), content_type=JSON_TYPE)


def _file(body: bytes | IO[bytes], name: str, form: Format) -> web.Response:
    """Something to download; `name` is without what a header would have to quote."""
    headers: Mapping[str, str] = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}.{form}"'}
    if form == "csv":
        return web.Response(body=body, content_type=CSV_TYPE, charset="utf-8", headers=headers)
    return web.Response(body=body, content_type=JSON_TYPE, headers=headers)


DETAIL = {202: Answer("The campaign", SaleDetail)}
PREVIEW = {
    200: Answer(
        "Every variant with its old and new prices; with `format=csv` as CSV, to be saved",
        SalePreview,
        {CSV_TYPE: ",".join(preview.COLUMNS) + "\r\n"},
        headers=("Content-Disposition",),
    )
}
SALE_OPERATIONS = (
    Operation(
        "GET",
        "/api/sales",
        list_sales,
        "Sale campaigns, newest first",
        {200: Answer("Campaigns", SaleList)},
        query=SalesQuery,
    ),
    Operation(
        "POST",
        "/api/sales",
        create_sale,
        "Create a campaign and plan it; without `starts` it starts at once",
        {201: Answer("The campaign", SaleDetail, headers=("Location",))},
        own_problems=(409, 502),
        body=SaleBody,
    ),
    Operation(
        "POST",
        "/api/sales/preview",
        preview_new_sale,
        "What a campaign would do; changes nothing",
        PREVIEW,
        own_problems=(409, 502),
        query=FormatQuery,
        body=SaleBody,
        needs=Role.READ,
    ),
    Operation(
        "GET",
        "/api/sales/{ref}",
        get_sale,
        "One campaign, with what happened to it",
        {200: Answer("The campaign", SaleDetail)},
        query=SaleQuery,
    ),
    Operation(
        "GET",
        "/api/sales/{ref}/preview",
        preview_sale,
        "What a campaign would do if it began now; for one that has begun, what it was meant to do",
        PREVIEW,
        own_problems=(422, 502),
        query=SaleFormatQuery,
    ),
    Operation(
        "GET",
        "/api/sales/{ref}/items",
        list_items,
        "A campaign's variants with their prices before, during and after, by product and id",
        {200: Answer("A page of variants", SaleItemList)},
        query=SaleItemsQuery,
    ),
    Operation(
        "GET",
        "/api/sales/{ref}/items/{variant_id}",
        get_item,
        "One variant of a campaign, with every write of its prices",
        {200: Answer("The variant", SaleItemDetail)},
        query=SaleQuery,
    ),
    Operation(
        "POST",
        "/api/sales/{ref}/apply",
        apply_sale,
        "Start a campaign that has not begun now",
        DETAIL,
        own_problems=(422, 502),
        query=SaleQuery,
    ),
    Operation(
        "POST",
        "/api/sales/{ref}/revert",
        revert_sale,
        "End a running campaign now: every price is restored",
        DETAIL,
        own_problems=(422,),
        query=SaleQuery,
    ),
    Operation(
        "POST",
        "/api/sales/{ref}/cancel",
        cancel_sale,
        "Call off a campaign; the prices of a running one are restored",
        DETAIL,
        own_problems=(422,),
        query=SaleQuery,
    ),
    Operation(
        "POST",
        "/api/sales/{ref}/resume",
        resume_sale,
        "Resume a campaign that waits for a person, after deciding about prices that somebody else has set",
        DETAIL,
        own_problems=(502,),
        query=SaleQuery,
        body=ResumeBody,
    ),
    Operation(
        "GET",
        "/api/sales/{ref}/report",
        get_report,
        "The proof of a campaign as a file: what was planned, what was done when, and the outcome of every variant",
        {
            200: Answer(
                "The report; with `format=csv` its variants as CSV",
                SaleReport,
                {CSV_TYPE: ",".join(report.COLUMNS) + "\r\n"},
                headers=("Content-Disposition",),
            )
        },
        query=SaleFormatQuery,
    ),
)
