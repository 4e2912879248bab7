"""All benchmarks: `python tests/bench/run.py [--only NAME …] [--quick]`.

One JSON line for each figure to stdout, progress to stderr. The exit code is 1 if a figure misses its target.
"""

import argparse
import logging
import sys
from collections.abc import AsyncIterator, Callable

import a_year
import against_dlt
import bulk_pull
import command_line
import idle
import item_search
import job_lists
import limits
import many_stores
import match_customers
import matching
import one_item
import page_load
import plan_large
import plan_rules
import pull_customers
import pull_incremental
import sale_apply
import sale_large
import sale_preview
import sse_crowd
import sse_latency
import sse_return
import structlog
import sync_products
import uvloop
import webhooks_accept
import webhooks_pushed
from figures import Figure, machine, say, write

from daemon.database.postgres_binaries import find_binaries

BENCHMARKS: dict[str, Callable[[bool], AsyncIterator[Figure]]] = {
    "pull_customers": pull_customers.measure,
    "pull_million": pull_customers.measure_million,
    "first_pull_dlt": against_dlt.measure,
    "pull_incremental": pull_incremental.measure,
    "bulk_products": bulk_pull.measure,
    "bulk_million": bulk_pull.measure_million,
    "limits_nhanh": limits.measure_nhanh,
    "limits_nhanh_burst": limits.measure_nhanh_burst,
    "limits_nhanh_handover": limits.measure_nhanh_handover,
    "limits_shopify": limits.measure_shopify,
    "match_products": matching.measure,
    "match_customers": match_customers.measure,
    "item_search": item_search.measure,
    "plan_rules": plan_rules.measure,
    "plan_large": plan_large.measure,
    "sync_products": sync_products.measure,
    "one_item": one_item.measure,
    "webhooks_accept": webhooks_accept.measure,
    "webhooks_pushed": webhooks_pushed.measure,
    "sale_apply": sale_apply.measure,
    "sale_start_now": sale_apply.measure_now,
    "sale_preview": sale_preview.measure,
    "sale_large": sale_large.measure,
    "event_latency": sse_latency.measure,
    "sse_return": sse_return.measure,
    "sse_crowd": sse_crowd.measure,
    "page_load": page_load.measure,
    "job_lists": job_lists.measure,
    "idle": idle.measure,
    "many_stores": many_stores.measure,
    "fleet_dispatch": many_stores.measure_dispatch,
    "command_line": command_line.measure,
    "a_year": a_year.measure,
}


async def run(names: list[str], quick: bool) -> bool:
    """Run the named benchmarks one after the other; whether all targets were met."""
    postgres = (await find_binaries(None)).version
    missed = []
    for name in names:
        here = machine(postgres)
        async for figure in BENCHMARKS[name](quick):
            write(name, figure, here)
            if figure.met is False:
                missed.append(figure.name)
    say(f"missed: {', '.join(missed)}" if missed else "all targets met")
    return not missed


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the daemon against its targets.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="one round each, without the million rows")
    arguments = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sys.exit(0 if uvloop.run(run(arguments.only, arguments.quick)) else 1)


if __name__ == "__main__":
    main()
