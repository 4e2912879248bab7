"""Whether the depots and locations of the configuration are there: what can't be seen is left out, never zero stock."""

from collections.abc import Collection

import structlog

from daemon.errors import CredentialRefused, DongboError, SourceRefused
from daemon.i18n import gettext as _
from daemon.jobs.context import JobContext
from daemon.mirror import places, watermarks
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.models import Location
from daemon.tasks.reading_context import ReadingContext
from daemon.tasks.registry import Store

log = structlog.get_logger()

INVENTORY_STREAM = "nhanh_inventory"


class PlacesMissing(DongboError):
    """No configured depot or location can be relied on: pushing stock would push wrong figures."""


async def refresh_depots(context: ReadingContext, store: Store, meter: CallMeter) -> None:
    """Note which depots the access token may see.

    Nhanh documentation: a token that is limited to some depots silently returns lower stock. Its own list of depots is
    in the answer to app/checkaccesstoken, for which the app's secret key is needed.
    """
    depots = await context.unless_stopped(store.nhanh.depots(meter=meter))
    visible = {depot.id: depot.name for depot in depots}
    if store.nhanh.can_check_access:
        access = await context.unless_stopped(store.nhanh.check_access_token(meter=meter))
        if access.depot_ids:
            visible = {depot_id: name for depot_id, name in visible.items() if depot_id in access.depot_ids}
    async with context.database.acquire_for_work() as connection, connection.transaction():
        await places.store_depots(connection, store.name, list(visible.items()))


async def try_to_refresh_depots(context: ReadingContext, store: Store, meter: CallMeter) -> None:
    """As `refresh_depots`, for pulls, which need no permission to list depots: pushing stock does, and will say so."""
    try:
        await refresh_depots(context, store, meter)
    except SourceRefused as error:
        log.warning("depots_unknown", reason=str(error), next_step="stock can be pulled, but will not be pushed")


async def stock_is_partial(context: JobContext, store: Store) -> bool:
    """Whether a depot came into sight after the last full pull of stock: its stock is known in part only."""
    async with context.database.acquire_for_work() as connection:
        known = await watermarks.get(connection, store.name, INVENTORY_STREAM)
        depots = await places.list_depots(connection, store.name)
    pulled_at = known.full_pull_at if known is not None else None
    return pulled_at is None or any(depot.visible_since > pulled_at for depot in depots if depot.hidden_at is None)


async def hidden_depots(
    context: JobContext, store: Store, depot_ids: Collection[int], meter: CallMeter
) -> dict[int, str]:
    """Those of these depots that the access token can't see, with the reason: what is in them would look like nothing.

    Raises PlacesMissing where that can't be found out.
    """
    if not depot_ids:
        return {}
    if not store.nhanh.can_check_access:
        raise PlacesMissing(
            _(
                "Whether the access token may see all depots can't be checked without the app's secret key, and a "
                "depot that it can't see would look like no stock. Nothing was pushed. Add secret_key to "
                "[stores.{name}.nhanh]."
            ).format(name=store.name)
        )
    try:
        await refresh_depots(context, store, meter)
    except CredentialRefused:
        raise
    except SourceRefused as error:
        return dict.fromkeys(depot_ids, str(error).rstrip("."))
    async with context.database.acquire_for_work() as connection:
        known = {depot.id: depot for depot in await places.list_depots(connection, store.name)}
    return {
        number: _("{depot} is closed, or the access token may not see it").format(
            depot=_named(number, depot.name if depot else None)
        )
        for number in sorted(depot_ids)
        if (depot := known.get(number)) is None or depot.hidden_at is not None
    }


async def closed_locations(
    context: JobContext, store: Store, location_ids: Collection[int], meter: CallMeter
) -> dict[int, str]:
    """Those of these locations that can't get any stock, with the reason: closed, deleted, or of somebody else."""
    if not location_ids:
        return {}
    try:
        locations = await context.unless_stopped(store.shopify.locations(meter=meter))
    except CredentialRefused:
        raise
    except SourceRefused as error:
        return dict.fromkeys(location_ids, str(error).rstrip("."))
    found = {location.id: location for location in locations}
    async with context.database.acquire_for_work() as connection, connection.transaction():
        known = [(location.id, location.name, location.is_active) for location in found.values()]
        await places.store_locations(connection, store.name, known)
    return {
        number: reason
        for number in sorted(location_ids)
        if (reason := why_unusable(number, found.get(number))) is not None
    }


def why_unusable(location_id: int, location: Location | None) -> str | None:
    """Why a configured location can receive no stock; None if it can."""
    if location is None:
        return _("{location} is not there: it was deleted, or belongs to a fulfilment service").format(
            location=location_id
        )
    if not location.is_active:
        return _("{location} is deactivated").format(location=_named(location_id, location.name))
    if location.is_fulfillment_service:
        return _("{location} belongs to a fulfilment service, which keeps its stock itself").format(
            location=_named(location_id, location.name)
        )
    return None


def _named(number: int, name: str | None) -> str:
    return f"{number} ({name})" if name else str(number)
