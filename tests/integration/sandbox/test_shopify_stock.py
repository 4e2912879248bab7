"""Setting stock in the Shopify sandbox: compare-and-set, activation, idempotency keys, and the journal of it all."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sandbox.catalogue import generate
from daemon.sandbox.faults import Faults
from daemon.sandbox.shopify import IdempotencyProblem, ShopifySandbox
from daemon.sandbox.shopify.records import Variant
from tests.support.sandbox_client import NOW, Client, new_sandbox, serving

SET = """mutation($input: InventorySetQuantitiesInput!, $key: String!) {
    inventorySetQuantities(input: $input) @idempotent(key: $key) {
        inventoryAdjustmentGroup { id reason referenceDocumentUri app { handle }
            changes(quantityNames: ["available"]) { name delta quantityAfterChange item { id } location { id } } }
        userErrors { code field message } } }"""
ACTIVATE = """mutation($item: ID!, $location: ID!, $key: String!, $available: Int, $onHand: Int) {
    inventoryActivate(inventoryItemId: $item, locationId: $location, available: $available, onHand: $onHand)
    @idempotent(key: $key) {
        inventoryLevel { isActive location { id } quantities(names: ["available"]) { quantity } }
        userErrors { field message } } }"""
STALE = "CHANGE_FROM_QUANTITY_STALE"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a sandbox without limits."""
    async with serving(new_sandbox()) as client:
        yield client


@dataclass
class Place:
    """Where a variant is stocked."""

    variant: Variant
    location_id: int

    @property
    def available(self) -> int | None:
        """What is there now; None where the variant is not stocked."""
        level = self.variant.level_at(self.location_id)
        return None if level is None else level.available

    @property
    def ids(self) -> dict[str, str]:
        """The place as a call names it."""
        return {
            "inventoryItemId": f"gid://shopify/InventoryItem/{self.variant.inventory_item_id}",
            "locationId": f"gid://shopify/Location/{self.location_id}",
        }

    def row(self, quantity: int, expected: int | None) -> dict[str, Any]:
        """A row of a call."""
        return {**self.ids, "quantity": quantity, "changeFromQuantity": expected}


def places(sandbox: ShopifySandbox, count: int) -> list[Place]:
    """The first places that stock something, none of them below zero."""
    found = [Place(variant, level.location_id) for variant in sandbox.variants.values() for level in variant.levels]
    return [place for place in found if (place.available or 0) > 0][:count]


def asked(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The input of a call."""
    return {"name": "available", "reason": "correction", "quantities": list(rows), **fields}


async def set_stock(client: Client, *rows: dict[str, Any], key: str | None = None, **fields: Any) -> dict[str, Any]:
    """The payload of a call, with a new key unless one is given."""
    return await client.written(SET, input=asked(*rows, **fields), key=key or str(uuid4()))


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The codes of the user errors, each with its field."""
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def quantities(client: Client, place: Place) -> dict[str, int]:
    """What the API says of a place, by name."""
    query = """query($item: ID!, $location: ID!) { inventoryItem(id: $item) { inventoryLevel(locationId: $location) {
        quantities(names: ["available", "committed", "damaged", "on_hand", "reserved"]) { name quantity } } } }"""
    ids = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"]}
    level = (await client.data(query, **ids))["inventoryItem"]["inventoryLevel"]
    return {entry["name"]: entry["quantity"] for entry in level["quantities"]}


# ── Setting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_quantities_are_set(client: Client) -> None:
    """What was expected is replaced, null replaces whatever there is, and the answer tells what changed."""
    one, other = places(client.sandbox, 2)
    before = one.available, other.available
    assert before[0] is not None
    uri = "gid://dongbo/SyncJob/7"
    payload = await set_stock(client, one.row(50, before[0]), other.row(8, None), referenceDocumentUri=uri)
    assert payload["userErrors"] == []
    assert (one.available, other.available) == (50, 8)
    group = payload["inventoryAdjustmentGroup"]
    assert (group["reason"], group["referenceDocumentUri"], group["app"]) == ("correction", uri, {"handle": "dongbo"})
    assert group["changes"][0] == {
        "name": "available",
        "delta": 50 - before[0],
        "quantityAfterChange": None,
        "item": {"id": one.ids["inventoryItemId"]},
        "location": {"id": one.ids["locationId"]},
    }
    assert len(group["changes"]) == 2


async def test_updated_at_moves_with_the_stock(client: Client) -> None:
    """A stock change updates the level, the variant and the product; a quantity that was there already updates none."""
    found, products = places(client.sandbox, 2000), client.sandbox.products
    changed, unchanged = found[0], found[-1]
    stamp = products[unchanged.variant.product_id].updated_at
    assert unchanged.variant.product_id != changed.variant.product_id
    await set_stock(client, changed.row(999, None))
    payload = await set_stock(client, unchanged.row(unchanged.available or 0, None))
    assert payload == {"inventoryAdjustmentGroup": None, "userErrors": []}
    level = changed.variant.level_at(changed.location_id)
    now = NOW.replace(microsecond=0)
    assert level is not None
    assert {level.updated_at, changed.variant.updated_at, products[changed.variant.product_id].updated_at} == {now}
    assert products[unchanged.variant.product_id].updated_at == stamp


async def test_one_stale_row_keeps_all_from_being_set(client: Client) -> None:
    """Every failing row is told with its index, the others are not, and nothing at all has been done."""
    first, second, third, fourth = places(client.sandbox, 4)
    before = [place.available for place in (first, second, third, fourth)]
    payload = await set_stock(
        client,
        first.row(1, first.available),
        second.row(2, 77_777),
        third.row(3, None),
        fourth.row(4, (fourth.available or 0) + 1),
    )
    assert codes(payload) == [
        (STALE, ["input", "quantities", "1", "changeFromQuantity"]),
        (STALE, ["input", "quantities", "3", "changeFromQuantity"]),
    ]
    assert payload["inventoryAdjustmentGroup"] is None
    assert [place.available for place in (first, second, third, fourth)] == before
    assert client.sandbox.writes == []


async def test_what_is_wrong_with_a_row(client: Client) -> None:
    """Each fault of a row has its code and its field."""
    here, there, negative, huge, *_, elsewhere = places(client.sandbox, 30)
    client.sandbox.make_bundle(elsewhere.variant.id)
    payload = await set_stock(
        client,
        here.row(1, None),
        here.row(2, None),
        there.row(1, None) | {"inventoryItemId": "gid://shopify/InventoryItem/5"},
        there.row(1, None) | {"inventoryItemId": there.ids["locationId"]},
        there.row(1, None) | {"locationId": "gid://shopify/Location/5"},
        elsewhere.row(1, None),
        negative.row(-1, None),
        huge.row(1_000_000_001, None),
    )
    assert codes(payload) == [
        ("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", ["input", "quantities", "0", "locationId"]),
        ("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", ["input", "quantities", "1", "locationId"]),
        ("INVALID_INVENTORY_ITEM", ["input", "quantities", "2", "inventoryItemId"]),
        ("INVALID_INVENTORY_ITEM", ["input", "quantities", "3", "inventoryItemId"]),
        ("INVALID_LOCATION", ["input", "quantities", "4", "locationId"]),
        ("NON_MUTABLE_INVENTORY_ITEM", ["input", "quantities", "5", "inventoryItemId"]),
        ("INVALID_QUANTITY_NEGATIVE", ["input", "quantities", "6", "quantity"]),
        ("INVALID_QUANTITY_TOO_HIGH", ["input", "quantities", "7", "quantity"]),
    ]
    messages = [error["message"] for error in payload["userErrors"]]
    assert messages[5] == "The specified inventory item is not allowed to be adjusted via API."
    assert (await set_stock(client, huge.row(1_000_000_000, None)))["userErrors"] == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", "committed", "INVALID_NAME"),
        ("reason", "because", "INVALID_REASON"),
        ("referenceDocumentUri", "", "INVALID_REFERENCE_DOCUMENT"),
        ("referenceDocumentUri", "job 7", "INVALID_REFERENCE_DOCUMENT"),
        ("referenceDocumentUri", "dongbo", "INVALID_REFERENCE_DOCUMENT"),
        ("referenceDocumentUri", "gid://dongbo/SyncJob", "INVALID_REFERENCE_DOCUMENT"),
    ],
)
async def test_what_is_wrong_with_a_call(client: Client, field: str, value: str, code: str) -> None:
    """An unknown name or reason, and a reference that is no URI, are refused."""
    (place,) = places(client.sandbox, 1)
    payload = await set_stock(client, place.row(1, None), **{field: value})
    assert codes(payload) == [(code, ["input", field])]
    assert client.sandbox.writes == []


@pytest.mark.parametrize("uri", ["gid://dongbo/SyncJob/1", "https://example.vn/jobs/7", "dongbo:job-7", None])
async def test_references_that_fit(client: Client, uri: str | None) -> None:
    """A URI with a scheme, a global id with all parts, or none."""
    (place,) = places(client.sandbox, 1)
    assert (await set_stock(client, place.row(1, None), referenceDocumentUri=uri))["userErrors"] == []


async def test_changes_without_an_expectation_are_refused(client: Client) -> None:
    """A row that leaves `changeFromQuantity` out makes the whole call an error; null is an answer."""
    one, other = places(client.sandbox, 2)
    row = other.row(1, None)
    del row["changeFromQuantity"]
    error = await client.error(SET, input=asked(one.row(1, None), row), key="k")
    assert error["message"] == "InventoryQuantityInput must include the following argument: changeFromQuantity."
    assert error["extensions"]["code"] == "INVALID_FIELD_ARGUMENTS"
    assert error["path"] == ["inventorySetQuantities"]
    assert client.sandbox.writes == []


async def test_too_many_rows(client: Client) -> None:
    """More than 250 quantities are an error of the call; 250 are set within a few milliseconds."""
    rows = [place.row(4242, place.available) for place in places(client.sandbox, 251)]
    error = await client.error(SET, input=asked(*rows), key="k")
    assert error["message"] == "The input array size of 251 is greater than the maximum allowed of 250."
    assert error["extensions"]["code"] == "MAX_INPUT_SIZE_EXCEEDED"
    started = time.perf_counter()
    assert (await set_stock(client, *rows[:250]))["userErrors"] == []
    assert time.perf_counter() - started < 0.5  # some 15 ms where nothing else runs
    assert len(client.sandbox.writes) == 250


async def test_mutations_cost_ten_points(client: Client) -> None:
    """What a mutation costs does not depend on what it returns."""
    (place,) = places(client.sandbox, 1)
    answer = await client.ask(SET, input=asked(place.row(3, None)), key="k")
    cost = answer["extensions"]["cost"]
    assert (cost["requestedQueryCost"], cost["actualQueryCost"]) == (10, 10)


async def test_scopes(client: Client) -> None:
    """Stock can't be changed with the scopes for reading it, and the answer says which one is missing."""
    (place,) = places(client.sandbox, 1)
    client.sandbox.scopes = frozenset({"read_inventory", "write_products"})
    for query, name in ((SET, "inventorySetQuantities"), (ACTIVATE, "inventoryActivate")):
        variables: dict[str, Any] = {"input": asked(place.row(3, None)), "key": "k"}
        if query is ACTIVATE:
            variables = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"], "key": "k"}
        error = await client.error(query, **variables)
        assert error["extensions"]["code"] == "ACCESS_DENIED"
        assert error["message"] == (f"Access denied for {name} field. Required access: `write_inventory` access scope.")
    assert client.sandbox.writes == []


# ── Idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["inventorySetQuantities", "inventoryActivate"])
async def test_the_directive_is_required(client: Client, name: str) -> None:
    """Without `@idempotent`, or with a blank key, nothing is done."""
    (place,) = places(client.sandbox, 1)
    arguments, declared = "input: $input", "$input: InventorySetQuantitiesInput!"
    variables: dict[str, Any] = {"input": asked(place.row(3, None))}
    if name == "inventoryActivate":
        arguments, declared = "inventoryItemId: $item, locationId: $location", "$item: ID!, $location: ID!"
        variables = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"]}
    call = f"mutation({declared}) {{ {name}({arguments}) {{ userErrors {{ message }} }} }}"
    error = await client.error(call, **variables)
    assert error["message"] == "The @idempotent directive is required for this mutation but was not provided."
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["path"] == [name]
    blank = await client.error(call.replace(") { user", ') @idempotent(key: "  ") { user'), **variables)
    assert blank["message"] == "The idempotency key cannot be an empty string or whitespace only."
    assert client.sandbox.writes == []


async def test_a_repeated_key_has_one_effect(client: Client) -> None:
    """The same call again gets the first answer, though the stock has moved on, and does nothing."""
    (place,) = places(client.sandbox, 1)
    row = place.row(12, place.available)
    first = await set_stock(client, row, key="k")
    client.sandbox.change_stock(place.variant.id, 5, place.location_id)
    assert await set_stock(client, row, key="k") == first
    assert place.available == 5
    assert len(client.sandbox.writes) == 1


async def test_a_refused_call_is_remembered_too(client: Client) -> None:
    """A call that was stale stays so under its key, even when it would fit by now; another key is another call."""
    (place,) = places(client.sandbox, 1)
    row = place.row(12, 3333)
    refused = await set_stock(client, row, key="k")
    client.sandbox.change_stock(place.variant.id, 3333, place.location_id)
    assert await set_stock(client, row, key="k") == refused
    assert place.available == 3333
    assert codes(await set_stock(client, row, key="l")) == []
    assert place.available == 12


async def test_a_key_belongs_to_one_call(client: Client) -> None:
    """Other parameters, or another mutation, under a used key are refused; the order of fields is no difference."""
    one, other = places(client.sandbox, 2)
    row = one.row(12, one.available)
    await set_stock(client, row, key="k")
    mismatch = await set_stock(client, other.row(12, None), key="k")
    assert [error["code"] for error in mismatch["userErrors"]] == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
    activation = await client.written(
        ACTIVATE, item=other.ids["inventoryItemId"], location=other.ids["locationId"], key="k"
    )
    assert activation["userErrors"][0]["message"].startswith("The same idempotency key cannot be used")
    assert (await set_stock(client, dict(reversed(row.items())), key="k"))["userErrors"] == []
    assert len(client.sandbox.writes) == 1


async def test_keys_are_forgotten_after_a_day() -> None:
    """After 24 hours a repetition is a call of its own."""
    now = [datetime(2026, 10, 1, tzinfo=UTC)]
    async with serving(new_sandbox(now=lambda: now[0])) as client:
        (place,) = places(client.sandbox, 1)
        row = place.row(12, None)
        await set_stock(client, row, key="k")
        client.sandbox.change_stock(place.variant.id, 5, place.location_id)
        now[0] += timedelta(hours=23, minutes=59)
        await set_stock(client, row, key="k")
        assert place.available == 5
        now[0] += timedelta(minutes=1)
        await set_stock(client, row, key="k")
        assert place.available == 12


async def test_refusals_on_demand(client: Client) -> None:
    """A concurrent request is refused once and then done; a failed attempt spoils its key for good."""
    (place,) = places(client.sandbox, 1)
    row, before = place.row(12, None), place.available
    client.sandbox.idempotency.refuse_next("IDEMPOTENCY_CONCURRENT_REQUEST", times=2)
    for _ in range(2):
        (error,) = (await set_stock(client, row, key="k"))["userErrors"]
        assert (error["code"], error["field"]) == ("IDEMPOTENCY_CONCURRENT_REQUEST", None)
    assert place.available == before
    assert (await set_stock(client, row, key="k"))["userErrors"] == []
    client.sandbox.idempotency.refuse_next(IdempotencyProblem.PREVIOUS_ATTEMPT_FAILED)
    row = place.row(13, None)
    for _ in range(2):
        (error,) = (await set_stock(client, row, key="l"))["userErrors"]
        assert error["code"] == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"
    assert place.available == 12
    assert (await set_stock(client, row, key="m"))["userErrors"] == []


async def test_without_replays_a_repetition_is_compared_anew(client: Client) -> None:
    """As the real API was seen to: a compare-and-set that has succeeded comes back as stale; nothing is done twice."""
    client.sandbox.idempotency.replays = False
    (place,) = places(client.sandbox, 1)
    row = place.row(4321, place.available)
    assert codes(await set_stock(client, row, key="k")) == []
    assert codes(await set_stock(client, row, key="k")) == [(STALE, ["input", "quantities", "0", "changeFromQuantity"])]
    assert codes(await set_stock(client, place.row(1, None), key="k"))[0][0] == "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    assert len(client.sandbox.writes) == 1


# ── Faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        ("reset", True),
        ("truncated", True),
        ("cut_off", True),
        ("error_500", False),
        ("nonsense", False),
        ("rate_limited", False),
    ],
)
async def test_a_lost_answer_is_not_a_lost_call(fault: str, done: bool) -> None:
    """After some faults the stock is set though nobody was told, after others it is not; a repetition settles it."""
    faults = Faults()
    async with serving(new_sandbox(faults=faults)) as client:
        (place,) = places(client.sandbox, 1)
        row, before = place.row(12_345, place.available), place.available
        faults.next(fault, path="graphql.json")
        with pytest.raises((aiohttp.ClientError, ValueError, AssertionError)):
            await set_stock(client, row, key="k")
        assert place.available == (12_345 if done else before)
        assert codes(await set_stock(client, row, key="k")) == []
        assert place.available == 12_345
        assert [write.has_effect for write in client.sandbox.writes] == [True]


async def test_bad_rows_leave_mutations_alone() -> None:
    """Rows of lists are spoilt, answers of mutations are not."""
    async with serving(new_sandbox(faults=Faults(bad_rows=1.0))) as client:
        (place,) = places(client.sandbox, 1)
        assert codes(await set_stock(client, place.row(1, None))) == []


# ── Activation ──────────────────────────────────────────────────────────────────────────────────────────────────────


# ── On hand ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_on_hand_is_compared_and_set(client: Client) -> None:
    """What is on hand is compared, and what is available moves by as much: open orders stay committed."""
    (place,) = places(client.sandbox, 1)
    client.sandbox.change_stock(place.variant.id, 5, place.location_id)
    client.sandbox.place_order(place.variant.id, 2, place.location_id)
    client.sandbox.damage(place.variant.id, 1, place.location_id)
    known = {"available": 2, "committed": 2, "damaged": 1, "on_hand": 5, "reserved": 0}
    assert await quantities(client, place) == known
    stale = await set_stock(client, place.row(8, 2), name="on_hand")
    assert codes(stale) == [(STALE, ["input", "quantities", "0", "changeFromQuantity"])]
    payload = await set_stock(client, place.row(8, 5), name="on_hand")
    assert payload["userErrors"] == []
    assert payload["inventoryAdjustmentGroup"]["changes"][0]["delta"] == 3
    assert await quantities(client, place) == known | {"available": 5, "on_hand": 8}
    write = client.sandbox.writes[-1]
    assert (write.before, write.after) == (5, 8)


async def test_less_on_hand_than_is_committed(client: Client) -> None:
    """It is accepted, and what is available falls below zero; below zero itself it does not go."""
    (place,) = places(client.sandbox, 1)
    client.sandbox.change_stock(place.variant.id, 1, place.location_id)
    client.sandbox.place_order(place.variant.id, 1, place.location_id)
    assert codes(await set_stock(client, place.row(0, 1), name="on_hand")) == []
    assert place.available == -1
    refused = await set_stock(client, place.row(-1, 0), name="on_hand")
    assert codes(refused) == [("INVALID_QUANTITY_NEGATIVE", ["input", "quantities", "0", "quantity"])]


async def activate(client: Client, place: Place, **quantities: int) -> dict[str, Any]:
    """The payload of an activation under a new key."""
    variables = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"], **quantities}
    return await client.written(ACTIVATE, key=str(uuid4()), **variables)


async def test_an_item_comes_back_with_its_quantity(client: Client) -> None:
    """Since 2026-04 an item that is activated without a quantity has what it had there before."""
    (place,) = places(client.sandbox, 1)
    before = place.available
    client.sandbox.stop_stocking(place.variant.id, place.location_id)
    assert place.available is None
    payload = await activate(client, place)
    assert payload == {
        "inventoryLevel": {
            "isActive": True,
            "location": {"id": place.ids["locationId"]},
            "quantities": [{"quantity": before}],
        },
        "userErrors": [],
    }
    assert place.available == before
    (write,) = client.sandbox.writes
    assert (write.subject, write.before, write.after) == (
        ("activate", place.variant.inventory_item_id, place.location_id),
        None,
        before,
    )


async def test_activation_may_set_the_quantity(client: Client) -> None:
    """A quantity can be given to an item that is not stocked yet, and to no other."""
    one, other = places(client.sandbox, 2)
    for place, argument in ((one, "available"), (other, "onHand")):
        client.sandbox.stop_stocking(place.variant.id, place.location_id)
        assert (await activate(client, place, **{argument: -1}))["userErrors"][0]["field"] == [argument]
        assert (await activate(client, place, **{argument: 9}))["userErrors"] == []
        assert place.available == 9
        refused = await activate(client, place, **{argument: 10})
        assert refused["userErrors"][0]["field"] == [argument]
        assert "when the item is already active at the location." in refused["userErrors"][0]["message"]
    again = await activate(client, one)
    assert again["userErrors"] == []
    assert [write.has_effect for write in client.sandbox.writes] == [True, True, False]


async def test_activation_of_what_is_not_there(client: Client) -> None:
    """An unknown item or location is a user error."""
    (place,) = places(client.sandbox, 1)
    for argument, field in (("item", "inventoryItemId"), ("location", "locationId")):
        variables = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"], "key": argument}
        payload = await client.written(ACTIVATE, **variables | {argument: f"gid://shopify/{argument.capitalize()}/5"})
        assert [error["field"] for error in payload["userErrors"]] == [[field]]
    assert client.sandbox.writes == []


@pytest.mark.parametrize("adds", [False, True])
async def test_setting_what_is_not_active_does_not_activate_it(client: Client, adds: bool) -> None:
    """A quantity is taken where the item is not active, which it stays; as reported, the next call with a new key
    adds."""
    (place,) = places(client.sandbox, 1)
    client.sandbox.adds_unconnected = adds
    client.sandbox.stop_stocking(place.variant.id, place.location_id)
    before = place.variant.inactive_level_at(place.location_id).available  # type: ignore[union-attr]
    for expected in [before + 5, before + 10] if adds else [5, 5]:
        assert (await set_stock(client, place.row(5, None)))["userErrors"] == []
        assert place.available is None
        assert place.variant.inactive_level_at(place.location_id).available == expected  # type: ignore[union-attr]
    assert (await activate(client, place))["userErrors"] == []
    assert place.available == expected


async def test_unstocked_levels_are_not_listed(client: Client) -> None:
    """A level that is switched off is missing from the lists, unless inactive ones are asked for."""
    (place,) = places(client.sandbox, 1)
    client.sandbox.stop_stocking(place.variant.id, place.location_id)
    query = """query($item: ID!, $location: ID!) { inventoryItem(id: $item) {
        inventoryLevels(first: 9) { nodes { location { id } } }
        all: inventoryLevels(first: 9, includeInactive: true) { nodes { isActive location { id } } }
        inventoryLevel(locationId: $location) { id }
        inactive: inventoryLevel(locationId: $location, includeInactive: true) { isActive }
        locationsCount { count } } }"""
    variables = {"item": place.ids["inventoryItemId"], "location": place.ids["locationId"]}
    item = (await client.data(query, **variables))["inventoryItem"]
    assert place.ids["locationId"] not in {node["location"]["id"] for node in item["inventoryLevels"]["nodes"]}
    assert sorted(node["isActive"] for node in item["all"]["nodes"]) == [False, True, True]
    assert (item["inventoryLevel"], item["inactive"]) == (None, {"isActive": False})
    assert item["locationsCount"] == {"count": 2}


# ── The journal ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_journal_lists_what_came_over_the_api(client: Client) -> None:
    """Each value that was set, whether or not it was another before; changes made in process are not there."""
    one, other = places(client.sandbox, 2)
    before = one.available
    client.sandbox.change_stock(other.variant.id, 6, other.location_id)
    await set_stock(client, one.row(21, None), other.row(6, None), key="k")
    effective, idle = client.sandbox.writes
    assert (effective.operation, effective.key, effective.at) == (
        "inventorySetQuantities",
        "k",
        NOW.replace(microsecond=0),
    )
    assert effective.subject == ("stock", one.variant.inventory_item_id, one.location_id)
    assert (effective.before, effective.after, effective.has_effect) == (before, 21, True)
    assert (idle.before, idle.after, idle.has_effect) == (6, 6, False)


# ── Any interleaving ────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = generate(3, products=3, customers=0, variants_per_product=(1, 2))
ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(["right", "null", 0, 1, 2])), max_size=4
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), ROWS),
        st.tuples(st.just("repeat"), st.integers(0, 9)),
        st.tuples(st.just("behind"), st.tuples(st.integers(0, 5), st.integers(0, 3))),
        st.tuples(st.just("toggle"), st.integers(0, 5)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
async def test_any_calls_and_repetitions_do_what_a_simple_model_says(steps: list[tuple[str, Any]]) -> None:
    """After any calls, repetitions and changes in process the stock is the model's; each key had its effect once."""
    sandbox = new_sandbox(SMALL)
    spots = [Place(v, level.location_id) for v in sandbox.variants.values() for level in v.levels][:6]
    for spot in spots:
        sandbox.change_stock(spot.variant.id, 0, spot.location_id)
    stock, stocked = dict.fromkeys(range(6), 0), dict.fromkeys(range(6), True)
    calls: list[tuple[list[dict[str, Any]], dict[str, Any]]] = []
    effects = 0
    async with serving(sandbox) as client:
        for kind, what in steps:
            if kind == "call":
                rows = [
                    spots[spot].row(quantity, {"right": stock[spot], "null": None}.get(expected, expected))
                    for spot, quantity, expected in what
                ]
                payload = await set_stock(client, *rows, key=f"key-{len(calls)}")
                calls.append((rows, payload))
                unique = len({spot for spot, _, _ in what}) == len(what)
                fits = all(e in ("right", "null", stock[s]) for s, _, e in what)
                assert (payload["userErrors"] == []) == (unique and fits)
                if unique and fits:
                    effects += sum(stock[spot] != quantity for spot, quantity, _ in what)
                    stock |= {spot: quantity for spot, quantity, _ in what}
            elif kind == "repeat" and calls:
                number = what % len(calls)
                rows, payload = calls[number]
                assert await set_stock(client, *rows, key=f"key-{number}") == payload
            elif kind == "behind" and stocked[what[0]]:
                stock[what[0]] = what[1]
                sandbox.change_stock(spots[what[0]].variant.id, what[1], spots[what[0]].location_id)
            elif kind == "toggle":
                toggle = sandbox.stop_stocking if stocked[what] else sandbox.start_stocking
                toggle(spots[what].variant.id, spots[what].location_id)
                stocked[what] = not stocked[what]
    assert [spot.available for spot in spots] == [stock[n] if stocked[n] else None for n in range(6)]
    effective = [(write.key, write.subject) for write in sandbox.writes if write.has_effect]
    assert len(effective) == len(set(effective)) == effects
