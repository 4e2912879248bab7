"""One pull of all customers by dlt: `python dlt_pull.py URL DATABASE_URL FOLDER SCHEMA`; see `against_dlt.py`.

It runs under a Python that has dlt, and so imports nothing of the daemon. It prints one JSON line: the seconds from the
beginning of the run to its end, and the most memory of the process, in MB.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

PAGE_SIZE = 100  # what the daemon asks for, too


@dlt.resource(name="customers", primary_key="id")
def customers(url: str) -> Iterator[Any]:
    """Page after page."""
    client = RESTClient(base_url=url, headers={"Authorization": "sandbox-nhanh-access-token"})
    yield from client.paginate(
        "v3.0/customer/list?appId=73001&businessId=110668",
        method="POST",
        json={"filters": {}, "paginator": {"size": PAGE_SIZE, "sort": {"id": "asc"}}},
        data_selector="data",
        paginator=JSONResponseCursorPaginator(cursor_path="paginator.next", cursor_body_path="paginator.next"),
    )


def main(url: str, database_url: str, folder: str, schema: str) -> None:
    """Run the pipeline."""
    destination = dlt.destinations.postgres(database_url)
    pipeline = dlt.pipeline("customers", destination=destination, dataset_name=schema, pipelines_dir=folder)
    began = time.perf_counter()
    pipeline.run(customers(url), write_disposition="append")
    seconds = time.perf_counter() - began
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_memory": peak * 1024 / 1e6}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
