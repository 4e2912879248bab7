"""Definitions of campaigns that nobody should send."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.status.handlers.sale_requests import SaleBody

JSON = {"Content-Type": "application/json"}

RUBBISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MOMENTS = (
    st.none()
    | st.sampled_from(["2090-01-01T00:00:00", "2091-01-01T00:00:00+14:00"])
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
    | st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat)
)
AMOUNTS = st.integers(1, 10**12) | st.decimals(Decimal("0.01"), 10**9, places=2).map(str)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "products": st.lists(st.integers(1, 2**63 - 1), max_size=3),
        "vendors": st.lists(st.text(min_size=1, max_size=9), max_size=3),
        "tags": st.lists(st.text(min_size=1, max_size=9), max_size=3),
        "skus": st.lists(st.sampled_from(["AO-1", "AO-2"]) | st.text(min_size=1, max_size=9), max_size=3),
    },
)
DISCOUNTS = st.integers(1, 99).map(lambda percent: {"percent": percent}) | AMOUNTS.map(
    lambda amount: {"amount": amount}
)
DEFINITIONS = st.builds(
    lambda discount, others: {"name": "tet", "store": "main", **discount, **others},
    DISCOUNTS,
    st.fixed_dictionaries(
        {"targets": st.just({"all": True}) | LISTS},
        optional={
            "round_to": AMOUNTS,
            "ending": AMOUNTS,
            "floor": AMOUNTS,
            "starts": MOMENTS,
            "ends": MOMENTS,
            "newcomers": st.sampled_from(["join", "ignore"]),
            "discount_from": st.sampled_from(["price", "compare_at_price"]),
            "excludes": LISTS,
            "draft": st.booleans(),
            "origin": st.sampled_from(["api", "cli"]),
        },
    ),
)
KEYS = st.sampled_from([*SaleBody.model_fields, "surplus"])
BODIES = st.builds(lambda body, wrong: body | wrong, DEFINITIONS, st.dictionaries(KEYS, RUBBISH, max_size=1))


async def test_no_definition_makes_the_endpoint_fail(endpoint: Any) -> None:
    """Whatever is asked for is done or refused: no 5xx."""
    loop = asyncio.get_running_loop()
    await endpoint.execute(
        "INSERT INTO dongbo.shopify_products (store, id, title, tags, document, digest) "
        "VALUES ('main', 5, 'Áo', '{}', '{}', '')"
    )
    await endpoint.execute(
        "INSERT INTO dongbo.shopify_variants (store, id, product_id, sku, sku_key, title, price, document, digest) "
        "SELECT 'main', n, 5, 'AO-' || n, 'ao-' || n, 'Đỏ', n * 1000, '{}', '' FROM generate_series(1, 20) AS n"
    )
    await endpoint.execute(
        "INSERT INTO dongbo.watermarks (store, stream, complete_to, full_pull_at) "
        "VALUES ('main', 'shopify_products', now(), now())"
    )

    async def ask(path: str, body: bytes) -> None:
        async with endpoint.client.post(path, data=body, headers=JSON) as response:
            assert response.status < 500, (body, await response.text())
            answers.add(response.status)
        await endpoint.execute("DELETE FROM dongbo.sale_campaigns")

    answers: set[int] = set()

    @example(path="", body={"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}})
    @given(path=st.sampled_from(["", "/preview", "/preview?format=csv"]), body=BODIES)
    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def attack(path: str, body: dict[str, Any]) -> None:
        try:
            encoded = orjson.dumps(body)
        except TypeError:
            encoded = repr(body).encode("utf-8", "surrogatepass")
        asyncio.run_coroutine_threadsafe(ask(f"/api/sales{path}", encoded), loop).result(20)

    await asyncio.to_thread(attack)
    assert answers >= {200, 201, 422}
