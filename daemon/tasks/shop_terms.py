"""What a shop's prices mean, read before any of them is pushed: amounts never go from one currency into another."""

from collections.abc import Mapping

from daemon.api.sales import CampaignState
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.ids import CampaignId
from daemon.jobs.context import JobContext
from daemon.mirror import shops
from daemon.mirror.shops import Shop
from daemon.money import Currency, CurrencyMismatch
from daemon.sales import campaigns
from daemon.sales.pricing import currency_doubt
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.models import ShopInfo
from daemon.tasks.registry import Store


async def note_shop(context: JobContext, store: Store, meter: CallMeter) -> ShopInfo:
    """Ask the shop what it says of itself, and note it; the currency of what is mirrored stays what it was."""
    said = await context.unless_stopped(store.shopify.shop(meter=meter))
    async with context.database.acquire_for_work() as connection:
        await shops.note(connection, store.name, Currency(said.currency), taxes_included=said.taxes_included)
    return said


async def note_all_prices_read(context: JobContext, store: Store, said: ShopInfo) -> None:
    """Note that all mirrored prices are in the currency that the shop has said."""
    async with context.database.acquire_for_work() as connection:
        await shops.note(
            connection,
            store.name,
            Currency(said.currency),
            taxes_included=said.taxes_included,
            all_prices_read=True,
        )


async def read_shop(context: JobContext, store: Store, meter: CallMeter, *, longest_age: float = 0.0) -> Shop:
    """What the shop says of itself now, noted for whoever plans from the mirror.

    `longest_age`: in seconds, of an answer that is good enough. What other jobs, or daemons, have noted since is known.

    Raises:
        CurrencyMismatch: the mirrored prices are in another currency than the shop has now.
    """
    said = await store.recent.ask("shop", lambda: note_shop(context, store, meter), longest_age=longest_age)
    async with context.database.acquire_for_work() as connection:
        known = await shops.get(connection, store.name)
    if known is None:  # it was noted a moment ago
        raise CurrencyMismatch(_("What is known of the shop of {name} is gone: sync again.").format(name=store.name))
    if known.currency.code != said.currency:
        raise CurrencyMismatch(
            _(
                "The shop's currency has changed from {before} to {now} since its prices were read. Look "
                "whether [stores.{name}.nhanh] currency and the prices in Shopify are as they should be, then read "
                "them all anew: dongbo pull shopify-products --full --store {name}."
            ).format(before=known.currency, now=said.currency, name=store.name)
        )
    return known


def check_currency(store: Store, shop: Currency, what: str) -> None:
    """Raise CurrencyMismatch unless the shop has the currency of Nhanh.vn's amounts; `what` would have been pushed."""
    if shop != store.nhanh_currency:
        raise CurrencyMismatch(
            _(
                "The shop's currency is {shop}, and Nhanh.vn's amounts are in {nhanh_currency}: no {what} were "
                'pushed. If Nhanh.vn has them in {shop}, set currency = "{shop}" in [stores.{name}.nhanh]; else take '
                "{what} out of what is synced."
            ).format(shop=shop, nhanh_currency=store.nhanh_currency, what=what, name=store.name)
        )


async def sales_in_another_currency(
    context: JobContext, store: Store, meter: CallMeter
) -> Mapping[CampaignId, DongboError]:
    """The running campaigns that must not be put on sale, for their sums may be meant in another currency than the
    shop has now; those in percent continue."""
    if store.nhanh_client is None:
        return {}
    states = (CampaignState.APPLYING, CampaignState.ACTIVE)
    async with context.database.acquire_for_work() as connection:
        running = await campaigns.list_in_states(connection, store.name, states)
    with_sums = [campaign for campaign in running if campaign.definition.sums or campaign.definition.rounding]
    if not with_sums:
        return {}
    try:
        shop = await read_shop(context, store, meter)
    except CurrencyMismatch as mismatch:
        return dict.fromkeys((campaign.id for campaign in with_sums), mismatch)
    return {
        campaign.id: CurrencyMismatch(doubt)
        for campaign in with_sums
        if (doubt := currency_doubt(campaign.definition, shop.currency, store.nhanh_currency)) is not None
    }
