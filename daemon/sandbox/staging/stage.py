"""The running shops, and which goods and locations take part in which situation: none in two at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from daemon.errors import DongboError, ExitCode
from daemon.sandbox.faults import Faults
from daemon.sandbox.nhanh import NhanhSandbox
from daemon.sandbox.nhanh.records import PARENT
from daemon.sandbox.shopify import ShopifySandbox
from daemon.sandbox.shopify.records import Location, Product, Variant

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


@dataclass
class Stage:
    """Two running shops. What a method changes is as it was when its context ends, unless it is gone by then."""

    nhanh: NhanhSandbox
    shopify: ShopifySandbox
    faults: Faults
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
    def location(self) -> Iterator[Location]:
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
        """Other values of any record's attributes, with `save` called after each change."""
        before = {name: getattr(record, name) for name in fields}
        _assign(record, fields)
        save()
        try:
            yield
        finally:
            _assign(record, before)
            save()

    def stock_again(self, variant_id: int, location_id: int, available: int) -> None:
        """Stock a variant at a location, unless somebody has done so, or one of them is gone."""
        variant = self.shopify.variants.get(variant_id)
        if variant is not None and location_id in self.shopify.locations and variant.level_at(location_id) is None:
            self.shopify.start_stocking(variant_id, location_id, available)

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


def _assign(record: object, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(record, name, value)


def _key(sku: str | None) -> str:
    return "".join((sku or "").split()).casefold()
