"""Reads what the database knows, on one connection, at the same cost however many jobs there are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from daemon.api.sales import ItemState
from daemon.api.status import LeftOut
from daemon.conditions import memory, queries
from daemon.conditions.facts import DatabaseFacts, SlowFacts, StoreFacts, WebhookFacts
from daemon.conditions.streams import watched_jobs
from daemon.database.locks import is_read_only
from daemon.database.pool import Connection
from daemon.database.storage import read_storage
from daemon.fleet import members
from daemon.ids import CampaignId, StoreName
from daemon.inbox import events, streams
from daemon.jobs import pauses
from daemon.jobs import store as jobs
from daemon.jobs.types import JobType
from daemon.mirror import places
from daemon.sales import campaigns, items
from daemon.sales.model import Campaign
from daemon.schedules import fires
from daemon.schedules.model import ScheduleSpec

MOST_SALES = 500  # open ones of a store
SILENCE_GRACE = timedelta(minutes=30)  # in which a webhook may be late, or a pull bring what it has told of


async def read_database(
    connection: Connection,
    stores: Collection[StoreFacts],
    schedules: Sequence[ScheduleSpec],
    clock: Callable[[], datetime],
) -> DatabaseFacts:
    """What the database says of these stores and schedules; `clock` tells the present time. Raises what that raises."""
    read_at = clock()
    names = [store.name for store in stores]
    open_sales = await campaigns.list_open_of_each(connection, names, MOST_SALES)
    left_out = await _left_out(connection, stores)
    return DatabaseFacts(
        read_at=read_at,
        streams=await queries.read_streams(connection, watched_jobs(stores)),
        schedules=await fires.list_memories(connection, schedules),
        questions=await queries.list_questions(connection, names),
        open_sales=open_sales,
        drifted=await _count_drifted(connection, open_sales),
        left_out=left_out,
        place_names={
            each.store: await places.names(connection, each.store, each.locations, each.depots)
            for each in left_out
            if each.locations or each.depots
        },
        pauses=await pauses.list_active(connection, names),
        webhooks=await _webhooks(connection),
        fleet=await members.list_members(connection),
    )


async def read_slowly(connection: Connection, stores: Collection[StoreFacts]) -> SlowFacts:
    """What changes seldom. Raises what the database raises."""
    return SlowFacts(
        await _count_mapped(connection, stores),
        await memory.load(connection),
        await read_storage(connection),
        await is_read_only(connection),
    )


async def _webhooks(connection: Connection) -> WebhookFacts:
    found = WebhookFacts(
        await streams.list_streams(connection),
        await events.topic_counts(connection),
        await events.waiting(connection),
    )
    told = {
        stream.id: max(last.last_received_at, stream.caught_up_at or last.last_received_at) + SILENCE_GRACE
        for stream in found.streams
        if (last := found.last_of(stream.id)) is not None
    }
    return replace(found, untold=await queries.list_untold(connection, told)) if told else found


async def _count_drifted(connection: Connection, sales: Sequence[Campaign]) -> dict[CampaignId, int]:
    """Those on sale with another price in the mirror, and those that wait for a person's decision."""
    begun = [sale.id for sale in sales if sale.started_at is not None]
    counts = await items.count_each_by_state(connection, begun) if begun else {}
    return {
        number: await items.count_drifting(connection, number) + counts[number].get(ItemState.DRIFTED, 0)
        for number in begun
    }


async def _left_out(connection: Connection, stores: Collection[StoreFacts]) -> list[LeftOut]:
    """Of each store the configured places that its last product sync had to leave out; what the configuration no
    longer names is nobody's concern."""
    syncs = {store.name: store.product_sync for store in stores if store.product_sync is not None}
    said = await jobs.latest_said(connection, syncs.keys(), JobType.SYNC_PRODUCTS, "closed_locations")
    found = []
    for name, metadata in sorted(said.items()):
        depots_of = syncs[name].depots_of
        depots = {depot for group in depots_of.values() for depot in group}
        found.append(
            LeftOut(
                name,
                locations=[number for number in metadata["closed_locations"] if number in depots_of],
                depots=[number for number in metadata.get("hidden_depots", ()) if number in depots],
            )
        )
    return found


async def _count_mapped(connection: Connection, stores: Collection[StoreFacts]) -> dict[StoreName, int]:
    """How many variants match a product, as each store's last match has counted them."""
    names = [store.name for store in stores]
    said: Mapping[StoreName, Mapping[str, Any]] = await jobs.latest_said(
        connection, names, JobType.MATCH_PRODUCTS, "mapped"
    )
    return {name: metadata["mapped"] for name, metadata in said.items()}
