"""Writing to Shopify: stock, prices, metafields and tags of customers."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources.decode import UnfitRowError
from daemon.sources.meter import BeforeSend, CallMeter, at_once
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import SMALL_COST
from daemon.sources.shopify.errors import CODES_OF_MESSAGES, idempotency_failure
from daemon.sources.shopify.levels import is_active, quantities_of
from daemon.sources.shopify.models import PricePair, Quantities, QuantityName, gid, gid_number, metafield_name
from daemon.sources.shopify.operations import GraphqlOperation
from daemon.sources.shopify.price_watch import LONG_AGO, LookFailed, PricesMoved, PriceWatch
from daemon.sources.shopify.stock import StockReader, read_price_pair
from daemon.sources.shopify.writes import (
    ANY,
    MAX_METAFIELD_CHANGES,
    MAX_PRICE_CHANGES,
    MAX_STOCK_CHANGES,
    UNCHANGED,
    UNCONFIRMED,
    MetafieldChange,
    MetafieldOutcome,
    PriceChange,
    PriceOutcome,
    StockChange,
    WriteError,
)

T = TypeVar("T")

NOT_MENTIONED = mark("Shopify's answer does not mention the location.")


class ShopifyWriter(StockReader):
    """Writes to a shop; every method is one mutation, repeated until its answer has been read.

    A repetition is harmless for one of three reasons. Stock and activation carry an idempotency key, and all attempts
    of a call send the same one: Shopify acts on the first of them. For a metafield that is compared and set, an attempt
    whose answer was lost makes the next one stale: the caller reads it again, and finds nothing left to write; tags are
    added and removed one by one, so doing it twice makes no difference. Prices have neither a key nor a
    compare-and-set: they are read again before an attempt that follows another (`PriceWatch`).

    The meter's `before_write` is awaited right before each attempt.

    All methods raise SourceRefused, RateLimited or SourceUnavailable after the retries. Changes that Shopify refuses
    are returned.
    """

    async def set_stock(
        self,
        changes: Sequence[StockChange],
        *,
        key: UUID,
        reference: str,
        meter: CallMeter,
        name: QuantityName = "available",
    ) -> list[WriteError]:
        """Set quantities of one name, all or none: without errors all of them are set, otherwise none.

        Args:
            changes: at most 250, each of another item or location.
            name: which quantity they expect and set; the other one moves by as much.
            key: of this call with these changes, and never of another one.
            reference: a URI that says in Shopify's history of the stock where the change came from.
            meter: counts the call.

        Raises:
            IdempotencyLost: the key is used up, and the outcome of the changes is unknown.
            ValueError: there are too many changes.
        """
        if not _fits(changes, MAX_STOCK_CHANGES):
            return []
        quantities = [
            {
                "inventoryItemId": gid("InventoryItem", change.item_id),
                "locationId": gid("Location", change.location_id),
                "quantity": change.quantity,
                "changeFromQuantity": change.expected,  # must be sent, even if it is null
            }
            for change in changes
        ]
        sent = {"name": name, "reason": "correction", "referenceDocumentUri": reference}
        variables = {"input": sent | {"quantities": quantities}, "key": str(key)}

        def read(payload: dict[str, Any]) -> list[WriteError]:
            return self._keyed_errors(payload, len(changes))

        return await self._mutate(operations.SET_STOCK, "inventorySetQuantities", variables, read, meter)

    async def activate_item(
        self, item_id: int, location_id: int, *, key: UUID, meter: CallMeter
    ) -> Quantities | WriteError:
        """Stock an item at a location, and return what is there: what it had when it was last stocked.

        `key` is of this item and location, and never of others. Nothing happens to an item that is stocked there.

        Raises:
            IdempotencyLost: the key is used up, and it is not known whether the item was activated.
        """
        variables = {
            "itemId": gid("InventoryItem", item_id),
            "locationId": gid("Location", location_id),
            "key": str(key),
        }

        def read(payload: dict[str, Any]) -> Quantities | WriteError:
            if errors := self._keyed_errors(payload, 1):
                return WriteError(0, errors[0].code, "; ".join(error.message for error in errors))
            return quantities_of(payload["inventoryLevel"])

        return await self._mutate(operations.ACTIVATE_ITEM, "inventoryActivate", variables, read, meter)

    async def activate_item_at(
        self, item_id: int, location_ids: Sequence[int], *, meter: CallMeter
    ) -> dict[int, Quantities | WriteError]:
        """Stock an item at several locations in one call; what is then at each, or why it can't be stocked there.

        No key is needed: nothing happens where it is stocked already.
        """
        updates = [{"locationId": gid("Location", number), "activate": True} for number in location_ids]
        variables = {"itemId": gid("InventoryItem", item_id), "updates": updates}

        def read(payload: dict[str, Any]) -> dict[int, Quantities | WriteError]:
            return _activated(payload, location_ids)

        return await self._mutate(operations.ACTIVATE_ITEM_AT, "inventoryBulkToggleActivation", variables, read, meter)

    async def set_prices(
        self, product_id: int, changes: Sequence[PriceChange], *, meter: CallMeter, read_at: float = LONG_AGO
    ) -> PriceOutcome:
        """Set prices of variants of one product, each by itself: one that is refused does not hold back the others.

        A change that says what it expects is sent only where Shopify still has that: it is read again before each
        attempt, unless it was read just now. What somebody changes during one call is overwritten.

        Args:
            changes: at most 250, each of another variant.
            read_at: when the expected prices were asked for, by `boot_time`.

        Raises:
            ValueError: there are too many changes, or an amount is not a number.
        """
        outcome, left = PriceOutcome(), list(changes)
        if not _fits(changes, MAX_PRICE_CHANGES):
            return outcome
        watch = PriceWatch(self.present_prices, changes, read_at, meter)
        while left:
            try:
                outcome.add(await self._send_prices(product_id, left, meter, watch))
                return outcome
            except PricesMoved:
                outcome.in_doubt.update(watch.in_doubt)
                left = watch.sort(left, outcome)
            except LookFailed as failure:
                raise failure.error from None
        return outcome

    async def _send_prices(
        self, product_id: int, changes: Sequence[PriceChange], meter: CallMeter, watch: PriceWatch
    ) -> PriceOutcome:
        variables = {"productId": gid("Product", product_id), "variants": [_price_input(change) for change in changes]}

        def read(payload: dict[str, Any]) -> PriceOutcome:
            return _price_outcome(payload, changes)

        watch.expect(changes)
        found = await self._mutate(
            operations.SET_PRICES, "productVariantsBulkUpdate", variables, read, meter, watch.check, watch.not_done
        )
        found.in_doubt.update(watch.in_doubt)
        return found

    async def set_metafields(self, changes: Sequence[MetafieldChange], *, meter: CallMeter) -> MetafieldOutcome:
        """Set metafields of customers, at most 25 and all or none.

        Raises:
            ValueError: there are too many changes, or a name is not "namespace.key".
        """
        if not _fits(changes, MAX_METAFIELD_CHANGES):
            return MetafieldOutcome()
        variables = {"metafields": [_metafield_input(change) for change in changes]}

        def read(payload: dict[str, Any]) -> MetafieldOutcome:
            return _metafield_outcome(payload, changes)

        return await self._mutate(operations.SET_METAFIELDS, "metafieldsSet", variables, read, meter)

    async def add_tags(self, customer_id: int, tags: Sequence[str], *, meter: CallMeter) -> list[WriteError]:
        """Add tags to a customer; those that are there already stay."""
        return await self._change_tags(operations.ADD_TAGS, "tagsAdd", customer_id, tags, meter)

    async def remove_tags(self, customer_id: int, tags: Sequence[str], *, meter: CallMeter) -> list[WriteError]:
        """Remove tags from a customer; those that are not there don't matter."""
        return await self._change_tags(operations.REMOVE_TAGS, "tagsRemove", customer_id, tags, meter)

    async def _change_tags(
        self, operation: GraphqlOperation, field: str, customer_id: int, tags: Sequence[str], meter: CallMeter
    ) -> list[WriteError]:
        if not tags:
            return []
        variables = {"id": gid("Customer", customer_id), "tags": list(tags)}
        return await self._mutate(operation, field, variables, lambda payload: _errors(payload, len(tags)), meter)

    async def _mutate(
        self,
        operation: GraphqlOperation,
        field: str,
        variables: dict[str, Any],
        read: Callable[[dict[str, Any]], T],
        meter: CallMeter,
        check: BeforeSend = at_once,
        not_done: Callable[[], None] = lambda: None,
    ) -> T:
        async def before_send() -> None:
            await check()
            await meter.before_write()

        def read_data(data: dict[str, Any]) -> T:
            try:
                return read(data[field])
            except (AttributeError, KeyError, TypeError, UnfitRowError) as error:
                raise self._endpoint.unreadable(operation) from error

        return await self._endpoint.call(
            operation,
            variables,
            meter,
            read=read_data,
            estimate=SMALL_COST,
            before_send=before_send,
            not_done=not_done,
        )

    def _keyed_errors(self, payload: dict[str, Any], changes: int) -> list[WriteError]:
        errors = _errors(payload, changes)
        said = "; ".join(error.message for error in errors)
        failure = idempotency_failure(self._endpoint.source, (error.code for error in errors), said)
        if failure is not None:
            raise failure
        return errors


def _fits(changes: Sequence[object], most: int) -> bool:
    """Whether there is anything to write; raises ValueError if it is more than one call takes."""
    if len(changes) > most:
        raise ValueError(f"One call takes at most {most} changes, not {len(changes)}.")
    return bool(changes)


def _errors(payload: dict[str, Any], changes: int) -> list[WriteError]:
    return [_error(error, changes) for error in payload["userErrors"]]


def _error(error: dict[str, Any], changes: int) -> WriteError:
    index = error.get("elementIndex")
    if index is None:  # such as ["input", "quantities", "3", "quantity"]
        index = next((int(step) for step in error.get("field") or () if str(step).isdecimal()), None)
    known = isinstance(index, int) and index < changes
    message = str(error["message"])
    code = str(error.get("code") or CODES_OF_MESSAGES.get(message, ""))
    return WriteError(index if known else None, code, message)


def _activated(payload: dict[str, Any], location_ids: Sequence[int]) -> dict[int, Quantities | WriteError]:
    errors = _errors(payload, len(location_ids))
    missing = WriteError(None, UNCONFIRMED, "; ".join(error.message for error in errors) or _(NOT_MENTIONED))
    found: dict[int, Quantities | WriteError] = dict.fromkeys(location_ids, missing)
    found |= {location_ids[error.index]: error for error in errors if error.index is not None}
    for level in payload.get("inventoryLevels") or ():
        number = gid_number(level["location"]["id"])
        if number in found and is_active(level):
            found[number] = quantities_of(level)
    return found


def _price_input(change: PriceChange) -> dict[str, Any]:
    sent: dict[str, Any] = {"id": gid("ProductVariant", change.variant_id)}
    if change.price is not UNCHANGED:
        sent["price"] = _plain(change.price)
    if change.compare_at_price is not UNCHANGED:
        sent["compareAtPrice"] = None if change.compare_at_price is None else _plain(change.compare_at_price)
    return sent


def _plain(amount: Decimal) -> str:
    """The amount in digits, never with an exponent."""
    if not amount.is_finite():
        raise ValueError(f"{amount} is not a valid price.")
    return f"{amount:f}"


def _price_outcome(payload: dict[str, Any], changes: Sequence[PriceChange]) -> PriceOutcome:
    """What an answer says about each change; an error without a place concerns all that it does not mention."""
    errors = _errors(payload, len(changes))
    refused = {changes[error.index].variant_id: error for error in reversed(errors) if error.index is not None}
    sent = {change.variant_id for change in changes}
    applied = {
        number: price
        for number, price in _prices(payload.get("productVariants") or ())
        if number in sent and number not in refused
    }
    unmentioned = sent - applied.keys() - refused.keys()
    for error in errors:
        if error.index is None:
            return PriceOutcome(applied, refused | dict.fromkeys(unmentioned, error))
    return PriceOutcome(applied, refused, unmentioned)


def _prices(variants: Iterable[dict[str, Any]]) -> Iterable[tuple[int, PricePair]]:
    for variant in variants:
        number = gid_number(variant["id"])
        if number is None:
            raise UnfitRowError(_("The field id is not a Shopify id."))
        yield number, read_price_pair(variant)


def _metafield_input(change: MetafieldChange) -> dict[str, Any]:
    namespace, key = metafield_name(change.name)
    sent: dict[str, Any] = {
        "ownerId": gid("Customer", change.customer_id),
        "namespace": namespace,
        "key": key,
        "type": change.type,
        "value": change.value,
    }
    # Left out, it compares nothing; null means that there must be none yet.
    return sent if change.expected_digest is ANY else sent | {"compareDigest": change.expected_digest}


def _metafield_outcome(payload: dict[str, Any], changes: Sequence[MetafieldChange]) -> MetafieldOutcome:
    if errors := _errors(payload, len(changes)):
        return MetafieldOutcome(errors=errors)
    digests = {
        (gid_number(metafield["owner"]["id"]), f"{metafield['namespace']}.{metafield['key']}"): metafield[
            "compareDigest"
        ]
        for metafield in payload["metafields"]
    }
    return MetafieldOutcome(
        {(change.customer_id, change.name): str(digests[change.customer_id, change.name]) for change in changes}
    )
