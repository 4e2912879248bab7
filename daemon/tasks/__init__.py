"""The coroutines that jobs run. A new one is a file here with a `@task`; its import below makes it known."""

from daemon.tasks import (  # noqa: F401 - importing registers them
    apply_sale,
    match_customers,
    match_products,
    noop,
    prepare_sale,
    product_chain,
    pull_nhanh_customers,
    pull_nhanh_inventory,
    pull_nhanh_products,
    pull_shopify_customers,
    pull_shopify_products,
    revert_sale,
    sync_customers,
    sync_products,
)
from daemon.tasks.registry import JobPolicy, Store, TaskRegistry, check_completeness, params_schemas, read_params

__all__ = ["JobPolicy", "Store", "TaskRegistry", "params_schemas", "read_params"]

check_completeness()
