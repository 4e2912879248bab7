"""Whether the mirror is of the shop and business that the configuration names: else nothing of it is pushed."""

from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.jobs.context import JobContext
from daemon.mirror import watermarks
from daemon.sources.meter import CallMeter
from daemon.tasks.registry import Store

PRODUCT_STREAMS = ("nhanh_products", "nhanh_inventory", "shopify_products")
CUSTOMER_STREAMS = ("nhanh_customers", "shopify_customers")
SALE_STREAMS = ("shopify_products",)


class OtherShop(DongboError):
    """The configuration names another shop or business than the one that was pulled."""


async def check_identities(context: JobContext, store: Store, meter: CallMeter, streams: tuple[str, ...]) -> None:
    """Raise OtherShop where the mirrored rows of one of these streams are of another shop or business.

    A stream that was never pulled, or last by a daemon that did not keep whose it is, passes.

    Raises:
        SourceRefused, RateLimited, SourceUnavailable: after the retries.
    """
    present: dict[str, str] = {}
    if store.nhanh_client is not None:
        present["nhanh"] = store.nhanh.identity
    if store.shopify_client is not None:
        present["shopify"] = await context.unless_stopped(store.shopify.identity(meter=meter))
    async with context.database.acquire_for_work() as connection:
        known = await watermarks.identities(connection, store.name, streams)
    for source, identity in present.items():
        others = {stream: of for stream, of in known.items() if stream.startswith(source) and of != identity}
        if others:
            pulls = _(" and ").join(
                f"`dongbo pull {stream.replace('_', '-')} --store {store.name}`" for stream in others
            )
            raise OtherShop(
                _(
                    "Nothing was pushed: the configuration of store {name} names {identity}, and what was pulled is of "
                    "{other}. If that is meant, run {pulls}, which will be in full; else correct "
                    "[stores.{name}.{source}]."
                ).format(
                    name=store.name, identity=identity, other=next(iter(others.values())), pulls=pulls, source=source
                )
            )
