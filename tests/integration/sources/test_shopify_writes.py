"""What the Shopify client writes, against the sandbox and against servers that misbehave in ways of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import SourceRefused, SourceUnavailable
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.records import Variant
from daemon.sources.http import Backoff, open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.client import ShopifyClient
from daemon.sources.shopify.credential import PermanentToken
from daemon.sources.shopify.errors import IdempotencyLost
from daemon.sources.shopify.models import PricePair, Reading
from daemon.sources.shopify.writer import _plain
from daemon.sources.shopify.writes import (
    ANY,
    ITEM_GONE_CODES,
    METAFIELD_STALE_CODES,
    PRICE_GONE_CODES,
    STALE_CODES,
    MetafieldChange,
    PriceChange,
    PriceOutcome,
    StockChange,
    WriteError,
)

QUICK = Backoff(attempts=4, initial=0.01, maximum=0.02)
SETTINGS = SandboxSettings(products=20, customers=10, limits=False)
REFERENCE = "gid://dongbo/Job/1"
PATH = "graphql.json"
PASSING = [Fault.ERROR_500, Fault.RATE_LIMITED, Fault.NONSENSE, Fault.RESET, Fault.TRUNCATED, Fault.CUT_OFF]


def client_at(session: aiohttp.ClientSession, url: str, token: str = "t") -> ShopifyClient:
    return ShopifyClient(
        session, shop="x", credential=PermanentToken(token), base_url=url, limits=LimiterRegistry(), backoff=QUICK
    )


@asynccontextmanager
async def opened(settings: SandboxSettings = SETTINGS) -> AsyncIterator[tuple[Sandbox, ShopifyClient]]:
    async with running_sandbox(settings) as sandbox, open_session() as session:
        yield sandbox, client_at(session, sandbox.shopify_url, sandbox.shopify.token)


Call = Callable[[ShopifyClient], Awaitable[Any]]


async def call(answers: Sequence[Any], what: Call) -> tuple[Any, list[dict[str, Any]]]:
    """What a call makes of these answers, one for each attempt, and the requests that came."""
    received: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        received.append(orjson.loads(await request.read()))
        answer = answers[len(received) - 1]
        return web.Response(body=answer if isinstance(answer, bytes) else orjson.dumps({"data": answer}))

    application = web.Application()
    application.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with open_session() as session:
            return await what(client_at(session, f"http://{host}:{port}")), received
    finally:
        await runner.cleanup()


def stocked(sandbox: Sandbox) -> list[Variant]:
    return list(sandbox.shopify.variants.values())


def to(variant: Variant, quantity: int, *, expected: int | None = None) -> StockChange:
    return StockChange(variant.inventory_item_id, variant.levels[0].location_id, expected, quantity)


async def set_stock(client: ShopifyClient, *changes: StockChange, key: UUID | None = None) -> list[WriteError]:
    return await client.set_stock(changes, key=key or uuid4(), reference=REFERENCE, meter=CallMeter())


# ── Stock ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stock_is_set_where_it_is_as_expected() -> None:
    """All quantities are set, one with a comparison and one without."""
    async with opened() as (sandbox, client):
        first, second = stocked(sandbox)[:2]
        known = to(first, 41, expected=first.levels[0].available)
        assert await set_stock(client, known, to(second, 42)) == []
        assert (first.levels[0].available, second.levels[0].available) == (41, 42)


async def test_what_is_on_hand_is_set_in_place_of_what_is_available() -> None:
    """The change expects and sets what is on hand; what is committed to an order stays so."""
    async with opened() as (sandbox, client):
        variant = stocked(sandbox)[0]
        level = variant.levels[0]
        sandbox.shopify.change_stock(variant.id, 5)
        sandbox.shopify.place_order(variant.id, 2)
        by_name: dict[str, Any] = {
            "key": uuid4(),
            "reference": "dongbo://jobs/1",
            "meter": CallMeter(),
            "name": "on_hand",
        }
        (stale,) = await client.set_stock([to(variant, 9, expected=3)], **by_name)
        assert stale.code in STALE_CODES
        assert await client.set_stock([to(variant, 9, expected=5)], **by_name | {"key": uuid4()}) == []
        assert (level.on_hand, level.available) == (9, 7)


async def test_one_stale_quantity_keeps_all_from_being_set() -> None:
    """Nothing is set, and the error says which change is stale."""
    async with opened() as (sandbox, client):
        first, second = stocked(sandbox)[:2]
        wrong = to(second, 42, expected=second.levels[0].available + 1)
        (error,) = await set_stock(client, to(first, 41), wrong)
        assert error.index == 1
        assert error.code in STALE_CODES
        assert sandbox.shopify.writes == []


async def test_what_keeps_stock_from_being_set_is_told_apart() -> None:
    """An item that is gone, a location that is closed, a quantity that can't be."""
    async with opened() as (sandbox, client):
        first, second, third, *_ = stocked(sandbox)
        location = first.levels[0].location_id
        gone = StockChange(first.inventory_item_id, location, None, 1)
        sandbox.shopify.delete_variant(first.id)
        closed = StockChange(second.inventory_item_id, second.levels[1].location_id, None, 1)
        sandbox.shopify.close_location(closed.location_id)
        errors = await set_stock(client, gone, closed, to(third, -1))
        assert [error.index for error in errors] == [0, 1, 2]
        assert errors[0].code in ITEM_GONE_CODES
        assert errors[1].code == "INVALID_LOCATION"
        assert errors[2].code == "INVALID_QUANTITY_NEGATIVE"


@pytest.mark.parametrize("fault", PASSING)
async def test_stock_is_set_once_whatever_becomes_of_the_answer(fault: Fault) -> None:
    """All attempts carry the same key, so that compare-and-set succeeds though its first answer was lost."""
    async with opened() as (sandbox, client):
        sandbox.faults.next(fault, path=PATH, times=2)
        variant, key = stocked(sandbox)[0], uuid4()
        change = to(variant, 41, expected=variant.levels[0].available)
        assert await set_stock(client, change, key=key) == []
        (write,) = sandbox.shopify.writes
        assert (write.key, write.after) == (str(key), 41)


async def test_a_concurrent_attempt_is_waited_for_with_the_same_key() -> None:
    """The earlier attempt is still under way: the call is repeated as it was."""
    async with opened() as (sandbox, client):
        sandbox.shopify.idempotency.refuse_next("IDEMPOTENCY_CONCURRENT_REQUEST", times=2)
        variant, meter = stocked(sandbox)[0], CallMeter()
        done = await client.set_stock([to(variant, 41)], key=uuid4(), reference=REFERENCE, meter=meter)
        assert (done, meter.retries) == ([], 2)
        sandbox.shopify.idempotency.refuse_next("IDEMPOTENCY_CONCURRENT_REQUEST", times=4)
        with pytest.raises(SourceUnavailable, match="still busy"):
            await set_stock(client, to(variant, 42))


@pytest.mark.parametrize("problem", ["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"])
async def test_a_key_that_is_used_up_is_an_error_at_once(problem: str) -> None:
    """Nobody knows what became of the call: the caller must look."""
    async with opened() as (sandbox, client):
        variant = stocked(sandbox)[0]
        for write in (
            lambda: set_stock(client, to(variant, 41)),
            lambda: client.activate_item(
                variant.inventory_item_id, variant.levels[0].location_id, key=uuid4(), meter=CallMeter()
            ),
        ):
            sandbox.shopify.idempotency.refuse_next(problem)
            calls = sandbox.shopify.requests.calls
            with pytest.raises(IdempotencyLost, match="idempotency key"):
                await write()
            assert sandbox.shopify.requests.calls == calls + 1


async def test_a_key_belongs_to_one_call() -> None:
    """The same key with other changes is noticed."""
    async with opened() as (sandbox, client):
        variant, key = stocked(sandbox)[0], uuid4()
        assert await set_stock(client, to(variant, 41), key=key) == []
        with pytest.raises(IdempotencyLost):
            await set_stock(client, to(variant, 42), key=key)


async def test_errors_of_keys_above_the_data_are_understood() -> None:
    """The codes mean the same where they come as errors of the whole request."""
    busy = {"errors": [{"message": "wait", "extensions": {"code": "IDEMPOTENCY_CONCURRENT_REQUEST"}}]}
    lost = {"errors": [{"message": "new key", "extensions": {"code": "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"}}]}
    done = {"data": {"inventorySetQuantities": {"userErrors": []}}}
    change = StockChange(1, 2, None, 3)
    answers = list(map(orjson.dumps, (busy, done)))
    assert (await call(answers, lambda client: set_stock(client, change)))[0] == []
    with pytest.raises(IdempotencyLost, match="new key"):
        await call([orjson.dumps(lost)], lambda client: set_stock(client, change))


async def test_a_call_takes_no_more_than_shopify_does() -> None:
    """Too many changes are an error before anything is sent; none at all need no call."""
    async with opened() as (sandbox, client):
        with pytest.raises(ValueError, match="at most 250"):
            await set_stock(client, *[StockChange(number, 1, None, 1) for number in range(251)])
        with pytest.raises(ValueError, match="at most 250"):
            await client.set_prices(1, [PriceChange(number) for number in range(251)], meter=CallMeter())
        with pytest.raises(ValueError, match="at most 25"):
            changes = [MetafieldChange(number, "custom.tier", "t", "v", ANY) for number in range(26)]
            await client.set_metafields(changes, meter=CallMeter())
        assert await set_stock(client) == []
        assert (await client.set_prices(1, [], meter=CallMeter())).applied == {}
        assert (await client.set_metafields([], meter=CallMeter())).digests == {}
        assert await client.add_tags(1, [], meter=CallMeter()) == []
        assert sandbox.shopify.requests.calls == 0


async def test_a_full_call_is_taken() -> None:
    """250 changes go in one call, which costs no more than a mutation does."""
    async with opened(SandboxSettings(products=200, customers=5)) as (sandbox, client):
        changes = [to(variant, 7) for variant in stocked(sandbox)[:250]]
        assert len(changes) == 250
        assert await set_stock(client, *changes) == []
        assert [request.requested_cost for request in sandbox.shopify.requests.last] == [10]


# ── Activation ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_item_is_activated_with_what_it_had() -> None:
    """A new level starts at zero, one that was there before with its quantity; a second time changes nothing."""
    async with opened() as (sandbox, client):
        variant, other = stocked(sandbox)[:2]
        location = variant.levels[0].location_id
        sandbox.shopify.change_stock(variant.id, 13, location)
        sandbox.shopify.stop_stocking(variant.id, location)
        other.levels = other.levels[1:]
        for item, available in ((variant, 13), (other, 0), (variant, 13)):
            item_id = item.inventory_item_id
            assert await client.activate_item(item_id, location, key=uuid4(), meter=CallMeter()) == (
                available,
                available,
            )
        assert variant.level_at(location) is not None


@pytest.mark.parametrize("fault", PASSING)
async def test_an_item_is_activated_once(fault: Fault) -> None:
    """The key makes one of several attempts."""
    async with opened() as (sandbox, client):
        variant = stocked(sandbox)[0]
        location = variant.levels[0].location_id
        sandbox.shopify.stop_stocking(variant.id, location)
        sandbox.faults.next(fault, path=PATH)
        await client.activate_item(variant.inventory_item_id, location, key=uuid4(), meter=CallMeter())
        assert len(sandbox.shopify.writes) == 1


async def test_an_activation_may_be_refused() -> None:
    """What is gone can't be activated, and Shopify gives no code for it."""
    async with opened() as (_, client):
        refused = await client.activate_item(1, 2, key=uuid4(), meter=CallMeter())
        assert refused == WriteError(0, "", "The specified inventory item could not be found.")


# ── Prices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_prices_are_set_and_told_as_they_are_now() -> None:
    """A field that is not mentioned stays; None takes the compare-at price away."""
    async with opened() as (sandbox, client):
        product = next(iter(sandbox.shopify.products.values()))
        variant = product.variants[0]
        sandbox.shopify.change_price(variant.id, Decimal(100), Decimal(150))
        for change, expected in (
            (PriceChange(variant.id, Decimal("1.2E+5")), PricePair(Decimal(120000), Decimal(150))),
            (
                PriceChange(variant.id, compare_at_price=Decimal("99.5")),
                PricePair(Decimal(120000), Decimal("99.5")),
            ),
            (PriceChange(variant.id, Decimal(7), None), PricePair(Decimal(7), None)),
        ):
            outcome = await client.set_prices(product.id, [change], meter=CallMeter())
            assert outcome == PriceOutcome(applied={variant.id: expected})
            assert await client.present_prices([variant.id], meter=CallMeter()) == Reading({variant.id: expected})


async def test_prices_that_do_not_fit_keep_no_others_back() -> None:
    """Each change is either applied or refused with an error of its own."""
    settings = SandboxSettings(products=20, customers=5, big_product_variants=100, limits=False)
    async with opened(settings) as (sandbox, client):
        product = max(sandbox.shopify.products.values(), key=lambda each: len(each.variants))
        first, second, third, *_ = product.variants
        changes = [
            PriceChange(first.id, Decimal(1000)),
            PriceChange(second.id, Decimal(-1)),
            PriceChange(999, Decimal(1)),
            PriceChange(third.id, Decimal(3000)),
        ]
        outcome = await client.set_prices(product.id, changes, meter=CallMeter())
        assert {number: price.price for number, price in outcome.applied.items()} == {first.id: 1000, third.id: 3000}
        assert outcome.refused.keys() == {second.id, 999}
        assert outcome.refused[999].code in PRICE_GONE_CODES


async def test_prices_of_a_product_that_is_gone() -> None:
    """Nothing is applied, and the error of the whole call is that of each change."""
    async with opened() as (_, client):
        outcome = await client.set_prices(1, [PriceChange(2, Decimal(1))], meter=CallMeter())
        assert (outcome.applied, list(outcome.refused)) == ({}, [2])
        assert outcome.refused[2].code in PRICE_GONE_CODES


async def test_a_price_that_the_answer_does_not_mention_is_an_error() -> None:
    """Silence is not success; nor is the old price that Shopify tells of a variant that it refused."""
    refusal = {"code": "INVALID_INPUT", "field": ["variants", "1", "price"], "message": "no"}
    listed = [
        {"id": f"gid://shopify/ProductVariant/{number}", "price": "1", "compareAtPrice": None} for number in (1, 2, 9)
    ]
    answer = {"productVariantsBulkUpdate": {"productVariants": listed, "userErrors": [refusal]}}
    changes = [PriceChange(number, Decimal(1)) for number in (1, 2, 3)]
    outcome, _ = await call([answer], lambda client: client.set_prices(5, changes, meter=CallMeter()))
    assert list(outcome.applied) == [1]
    assert {number: error.code for number, error in outcome.refused.items()} == {2: "INVALID_INPUT"}
    assert outcome.unconfirmed == {3}


@given(st.decimals(min_value=0, max_value=10**16))
def test_amounts_are_sent_in_plain_digits(amount: Decimal) -> None:
    """No amount has an exponent, and each is worth what it was."""
    sent = _plain(amount)
    assert set(sent) <= set("-0123456789.")
    assert Decimal(sent) == amount


async def test_an_amount_that_is_no_number_is_refused_at_once() -> None:
    """Neither NaN nor infinity is sent."""
    for amount in (Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(ValueError, match="not a valid price"):
            await call(
                [], lambda client, price=amount: client.set_prices(1, [PriceChange(1, price)], meter=CallMeter())
            )


# ── Customers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def spent(customer: int, value: str, digest: Any) -> MetafieldChange:
    return MetafieldChange(customer, "custom.total_spent", "number_integer", value, digest)


async def test_metafields_are_compared_and_set() -> None:
    """A new one must not be there yet, a changed one must have the digest it was read with; both get a new one."""
    async with opened() as (sandbox, client):
        customer = next(iter(sandbox.shopify.customers))
        created = await client.set_metafields([spent(customer, "1000", None)], meter=CallMeter())
        digest = created.digests[customer, "custom.total_spent"]
        row = (await client.customers_by_ids([customer], meter=CallMeter())).rows[0]
        assert row.value.metafields["custom.total_spent"].digest == digest
        changed = await client.set_metafields([spent(customer, "2000", digest)], meter=CallMeter())
        assert changed.digests[customer, "custom.total_spent"] != digest
        for stale in (None, digest, "0" * 64):
            outcome = await client.set_metafields([spent(customer, "3000", stale)], meter=CallMeter())
            assert outcome.digests == {}
            assert [error.index for error in outcome.errors] == [0]
            assert outcome.errors[0].code in METAFIELD_STALE_CODES
        assert (await client.set_metafields([spent(customer, "4000", ANY)], meter=CallMeter())).errors == []
        assert sandbox.shopify.customers[customer].metafields["custom", "total_spent"].value == "4000"


async def test_metafields_are_set_all_or_none() -> None:
    """One that doesn't fit keeps the others back, and the error says which it is."""
    async with opened() as (sandbox, client):
        first, second, *_ = sandbox.shopify.customers
        changes = [spent(first, "1", None), spent(second, "much", None)]
        outcome = await client.set_metafields(changes, meter=CallMeter())
        assert outcome.digests == {}
        assert [(error.index, error.code) for error in outcome.errors] == [(1, "INVALID_VALUE")]
        changes = [spent(first, "1", None), spent(second, "2", None)]
        outcome = await client.set_metafields(changes, meter=CallMeter())
        assert outcome.digests.keys() == {(first, "custom.total_spent"), (second, "custom.total_spent")}


async def test_a_metafield_whose_answer_was_lost_is_written_once() -> None:
    """The repetition is stale, because the first attempt was not: the value is there, and nothing more is written."""
    async with opened() as (sandbox, client):
        customer = next(iter(sandbox.shopify.customers))
        sandbox.faults.next(Fault.TRUNCATED, path=PATH)
        outcome = await client.set_metafields([spent(customer, "1000", None)], meter=CallMeter())
        assert [error.code for error in outcome.errors] == ["STALE_OBJECT"]
        assert [write.after for write in sandbox.shopify.writes if write.has_effect] == ["1000"]


async def test_tags_are_added_and_removed() -> None:
    """Adding one that is there and removing one that is not are no errors; a customer who is gone is."""
    async with opened() as (sandbox, client):
        customer = next(iter(sandbox.shopify.customers))
        sandbox.shopify.change_customer(customer, tags=["SILVER"])
        for _ in range(2):
            assert await client.add_tags(customer, ["GOLD", "VIP"], meter=CallMeter()) == []
            assert await client.remove_tags(customer, ["SILVER"], meter=CallMeter()) == []
            assert set(sandbox.shopify.customers[customer].tags) == {"GOLD", "VIP"}
        for change in (client.add_tags, client.remove_tags):
            (error,) = await change(1, ["GOLD"], meter=CallMeter())
            assert (error.index, error.code, error.message) == (None, "", "Customer does not exist")


# ── Answers that can't be read ──────────────────────────────────────────────────────────────────────────────────────

WRITES: Mapping[str, Call] = {
    "inventorySetQuantities": lambda client: set_stock(client, StockChange(1, 2, None, 3)),
    "inventoryActivate": lambda client: client.activate_item(1, 2, key=uuid4(), meter=CallMeter()),
    "productVariantsBulkUpdate": lambda client: client.set_prices(1, [PriceChange(2, Decimal(3))], meter=CallMeter()),
    "metafieldsSet": lambda client: client.set_metafields([spent(1, "2", ANY)], meter=CallMeter()),
    "tagsAdd": lambda client: client.add_tags(1, ["x"], meter=CallMeter()),
    "tagsRemove": lambda client: client.remove_tags(1, ["x"], meter=CallMeter()),
}
DONE: Mapping[str, Any] = {
    "inventoryActivate": {
        "inventoryLevel": {"quantities": [{"name": "available", "quantity": 5}, {"name": "on_hand", "quantity": 5}]}
    },
    "productVariantsBulkUpdate": {
        "productVariants": [{"id": "gid://shopify/ProductVariant/2", "price": "3", "compareAtPrice": None}]
    },
    "metafieldsSet": {
        "metafields": [
            {
                "namespace": "custom",
                "key": "total_spent",
                "compareDigest": "d",
                "owner": {"id": "gid://shopify/Customer/1"},
            }
        ]
    },
}


@pytest.mark.parametrize("field", WRITES)
@pytest.mark.parametrize("payload", [None, [], {}, {"userErrors": None}, {"userErrors": ["x"]}])
async def test_an_unreadable_answer_is_asked_for_again(field: str, payload: Any) -> None:
    """A write is repeated to the letter until its answer says what became of it."""
    done = {field: {"userErrors": []} | DONE.get(field, {})}
    _, received = await call([{field: payload}, b'{"data":{"inv', done], WRITES[field])
    assert len(received) == 3
    assert received[0] == received[1] == received[2]
    with pytest.raises(SourceUnavailable, match="can't be read"):
        await call([{field: payload}] * 4, WRITES[field])


@pytest.mark.parametrize("field", sorted(DONE))
async def test_a_success_without_its_result_is_no_success(field: str) -> None:
    """Where Shopify tells neither errors nor what is there now, the write is repeated; prices are unconfirmed."""
    if field == "productVariantsBulkUpdate":
        outcome, _ = await call([{field: {"productVariants": None, "userErrors": []}}], WRITES[field])
        assert outcome == PriceOutcome(unconfirmed={2})
        return
    with pytest.raises(SourceUnavailable, match="can't be read"):
        await call([{field: {"userErrors": [], "inventoryLevel": None, "metafields": []}}] * 4, WRITES[field])


@pytest.mark.parametrize("field", WRITES)
async def test_a_missing_permission_is_not_retried(field: str) -> None:
    """A person must act."""
    refusal = {"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}], "data": {field: None}}
    with pytest.raises(SourceRefused, match="lacks an access scope"):
        await call([orjson.dumps(refusal)], WRITES[field])


async def test_an_index_beyond_the_changes_is_not_believed() -> None:
    """An error that names no change of ours concerns the whole call."""
    errors = [
        {"code": "INVALID_INVENTORY_ITEM", "field": ["input", "quantities", "7"], "message": "a"},
        {"code": None, "field": None, "message": "b"},
    ]
    answer = {"inventorySetQuantities": {"userErrors": errors}}
    found, _ = await call([answer], lambda client: set_stock(client, StockChange(1, 2, None, 3)))
    assert found == [WriteError(None, "INVALID_INVENTORY_ITEM", "a"), WriteError(None, "", "b")]
