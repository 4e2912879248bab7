"""The running shops, and which goods and locations take part in which situation: none in two at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from daemon.errors import DongboError, ExitCode
from daemon.sandbox.faults import Faults
from daemon.sandbox.nhanh import NhanhSandbox
from daemon.sandbox.nhanh.records import PARENT
from daemon.sandbox.shopify import ShopifySandbox
from daemon.sandbox.shopify.records import LocationRecord, Product, Variant

_STOPPED = 3
_PLAIN = 1


class ShopTooSmall(DongboError):
    """There are not enough goods, customers or locations left for a situation."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Pair:
    """A good that both sides have: its variant, and its product at Nhanh.vn."""

    product: Product
    variant: Variant
    nhanh_id: int


class _Layers:
    """The values that an attribute was given on top of its own, by whom; it holds on to its record."""

    def __init__(self, record: object, name: str) -> None:
        self.name = name
        self._record = record
        self._values: dict[object, Any] = {}
        self._own: Any = None

    def put(self, whose: object, value: Any) -> None:
        if not self._values:
            self._own = getattr(self._record, self.name)
        self._values[whose] = value
        setattr(self._record, self.name, value)

    def take_away(self, whose: object) -> None:
        del self._values[whose]
        setattr(self._record, self.name, [self._own, *self._values.values()][-1])


@dataclass
class Stage:
    """Two running shops. What a method changes is as it was when its context ends, unless it is gone by then."""

    nhanh: NhanhSandbox
    shopify: ShopifySandbox
    faults: Faults
    _layers: dict[tuple[int, str], "_Layers"] = field(default_factory=dict, repr=False)
    _kept_out: Counter[tuple[int, int]] = field(default_factory=Counter, repr=False)  # (variant, location)
    _usual_stock: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)
    _taken: set[int] = field(default_factory=set, repr=False)  # products and locations of Shopify

    @contextmanager
    def goods(self, count: int, *, variants: int = 1) -> Iterator[list[Pair]]:
        """Goods of so many products with at least so many variants each, which take part in nothing else.

        Raises:
            ShopTooSmall: there are fewer.
        """
        found: list[Pair] = []
        for pair in self._pairs():
            if len(found) < count and len(pair.product.variants) >= variants and pair.product.id not in self._taken:
                found.append(pair)
        if len(found) < count:
            raise ShopTooSmall(
                f"the sandbox has too few goods left that both sides know: {count} are needed, there are {len(found)}. "
                "Start it with more --products, or switch another situation off"
            )
        with self._taking(pair.product.id for pair in found):
            yield found

    @contextmanager
    def location(self) -> Iterator[LocationRecord]:
        """The last open location that takes part in nothing else; never the first.

        Raises:
            ShopTooSmall: there is none.
        """
        others = list(self.shopify.locations.values())[1:]
        free = [place for place in others if place.is_active and place.id not in self._taken]
        if not free:
            raise ShopTooSmall("the sandbox has no open location left but its first: switch another situation off")
        with self._taking([free[-1].id]):
            yield free[-1]

    @contextmanager
    def product(self, number: int, **fields: Any) -> Iterator[None]:
        """Other fields of a product of Nhanh.vn; its stock, too."""
        present = self.nhanh.products[number]
        before = {name: getattr(present, name) for name in fields}
        self._change_product(number, fields)
        try:
            yield
        finally:
            if number in self.nhanh.products:
                self._change_product(number, before)

    @contextmanager
    def variant(self, variant: Variant, **fields: Any) -> Iterator[None]:
        """Other fields of a variant of Shopify's."""
        with self.changed(variant, lambda: self._touch(variant.product_id), **fields):
            yield

    @contextmanager
    def shop_product(self, product: Product, **fields: Any) -> Iterator[None]:
        """Other fields of a product of Shopify's."""
        with self.changed(product, lambda: self._touch(product.id), **fields):
            yield

    @contextmanager
    def changed(self, record: object, save: Callable[[], None] = lambda: None, **fields: Any) -> Iterator[None]:
        """Other values of any record's attributes, with `save` called after each change.

        Of contexts that change the same attribute the latest counts, in whatever order they end.
        """
        layers = [self._layers.setdefault((id(record), name), _Layers(record, name)) for name in fields]
        mine = object()
        for layer in layers:
            layer.put(mine, fields[layer.name])
        save()
        try:
            yield
        finally:
            for layer in layers:
                layer.take_away(mine)
            save()

    @contextmanager
    def added(self, members: set[Any], more: Iterable[Any]) -> Iterator[None]:
        """More members of a set."""
        new = set(more) - members
        members |= new
        try:
            yield
        finally:
            members -= new

    @contextmanager
    def unstocked(
        self, *, variants: Iterable[Variant] | None = None, locations: Iterable[int] | None = None
    ) -> Iterator[None]:
        """Variants that are not stocked at locations: all, unless some are named.

        What several contexts keep from being stocked is stocked again when the last of them ends.
        """
        wanted = list(self.shopify.variants.values() if variants is None else variants)
        places = list(self.shopify.locations if locations is None else locations)
        kept = [(each.id, place) for each in wanted for place in places if self._is_stocked(each, place)]
        present = [(each, level) for each in wanted for level in each.levels if level.location_id in places]
        self._usual_stock |= {(each.id, level.location_id): level.available for each, level in present}
        self._kept_out.update(kept)
        for each, level in present:
            if each.level_at(level.location_id) is not None:  # not gone with a twin's, of the same stock
                self.shopify.stop_stocking(each.id, level.location_id)
        try:
            yield
        finally:
            self._kept_out -= Counter(kept)
            for number, place in kept:
                self._stock_again(number, place)

    def usual_stock(self, variant_id: int, location_id: int) -> int | None:
        """What a variant had at a location before a context began to keep it from there; None where none did."""
        return self._usual_stock.get((variant_id, location_id))

    def know_usual_stock(self, variant_id: int, available: Mapping[int, int]) -> None:
        """Stock a variant with these quantities, by location, where contexts that keep it from there end."""
        self._usual_stock |= {(variant_id, location_id): quantity for location_id, quantity in available.items()}

    def _is_stocked(self, variant: Variant, location_id: int) -> bool:
        """Or would be, if it were not for another context."""
        return variant.level_at(location_id) is not None or (variant.id, location_id) in self._kept_out

    def _stock_again(self, variant_id: int, location_id: int) -> None:
        """Unless somebody has done so, or another context is against it, or variant or location are gone."""
        variant = self.shopify.variants.get(variant_id)
        if variant is None or location_id not in self.shopify.locations or self._is_stocked(variant, location_id):
            return
        self.shopify.start_stocking(variant_id, location_id, self._usual_stock[variant_id, location_id])

    @contextmanager
    def all_of(self, changes: Iterable[AbstractContextManager[None]]) -> Iterator[None]:
        """Several changes as one."""
        with ExitStack() as stack:
            for change in changes:
                stack.enter_context(change)
            yield

    def _change_product(self, number: int, fields: dict[str, Any]) -> None:
        moved = {"stock_updated_at": int(self.nhanh.clock())} if "stock" in fields else {}
        self.nhanh.change_product(number, **fields, **moved)

    def _touch(self, product_id: int) -> None:
        if product_id in self.shopify.products:
            self.shopify.touch_product(product_id)

    def _pairs(self) -> Iterator[Pair]:
        """One tracked variant of each active product, with the plain product of Nhanh.vn that alone has its SKU."""
        at_nhanh: dict[str, list[int]] = {}
        for row in self.nhanh.products.values():
            if row.parent_id != PARENT and row.status != _STOPPED and row.type == _PLAIN:
                at_nhanh.setdefault(_key(row.code), []).append(row.id)
        uses = Counter(_key(variant.sku) for variant in self.shopify.variants.values())
        for product in self.shopify.products.values():
            for variant in product.variants if product.status == "ACTIVE" else ():
                key = _key(variant.sku)
                if key and variant.tracked and uses[key] == 1 and len(at_nhanh.get(key, ())) == 1:
                    yield Pair(product, variant, at_nhanh[key][0])
                    break

    @contextmanager
    def _taking(self, numbers: Iterable[int]) -> Iterator[None]:
        taken = set(numbers)
        self._taken |= taken
        try:
            yield
        finally:
            self._taken -= taken


def _key(sku: str | None) -> str:
    return "".join((sku or "").split()).casefold()
