"""Which access scopes at Shopify the jobs of a configuration need; `JOB_TYPES` has those of each."""

from collections.abc import Iterator

from daemon.config.settings import Settings, StoreSettings
from daemon.ids import StoreName
from daemon.jobs.types import JOB_TYPES, JobType

PULLS = (JobType.PULL_SHOPIFY_PRODUCTS, JobType.PULL_SHOPIFY_CUSTOMERS)
STOCK = ("read_products", "write_inventory", "read_locations")
PRICES = ("write_products",)


def needed_scopes(settings: Settings, name: StoreName) -> dict[JobType, tuple[str, ...]]:
    """The scopes that each job of a store needs which the configuration starts, or provides for."""
    store = settings.stores[name]
    if store.shopify is None:
        return {}
    pulls = set(_pulls(settings, name))
    # Without a schedule for any, they are started by hand: each of them.
    needed = {job: JOB_TYPES[job].scopes for job in PULLS if not pulls or job in pulls}
    if store.product_sync is not None:
        needed[JobType.SYNC_PRODUCTS] = _of_product_sync(store)
    if store.customer_sync is not None:
        needed[JobType.SYNC_CUSTOMERS] = JOB_TYPES[JobType.SYNC_CUSTOMERS].scopes
    if any(sale.store == name for sale in settings.sales):
        needed[JobType.APPLY_SALE] = JOB_TYPES[JobType.APPLY_SALE].scopes
    return needed


def _of_product_sync(store: StoreSettings) -> tuple[str, ...]:
    sync = store.product_sync
    if sync is None:
        return ()
    pushes_prices = sync.price is not None or sync.compare_at_price is not None
    return (*(STOCK if sync.locations else ()), *(PRICES if pushes_prices else ()))


def _pulls(settings: Settings, name: StoreName) -> Iterator[JobType]:
    """The pulls from Shopify that schedules start, or that a sync lives on."""
    store = settings.stores[name]
    for schedule in settings.schedules:
        if schedule.store != name:
            continue
        if schedule.job in PULLS:
            yield schedule.job
        elif schedule.job is JobType.PRODUCT_CHAIN:
            yield JobType.PULL_SHOPIFY_PRODUCTS
    if store.product_sync is not None:
        yield JobType.PULL_SHOPIFY_PRODUCTS
    if store.customer_sync is not None:
        yield JobType.PULL_SHOPIFY_CUSTOMERS
