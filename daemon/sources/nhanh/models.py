"""The rows of Nhanh.vn as far as the daemon uses them; the rest stays in the row's own JSON.

Names are ours, `rename` has Nhanh's. Structs check themselves, so that a row that doesn't fit never gets further.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from daemon.i18n import gettext as _
from daemon.sources.decode import EPOCH, ZERO, Id, Moment, Reference, Small, Text, UnfitRowError, check_amount
from daemon.sources.page import UnreadRow

VAT_MARKS = frozenset(map(Decimal, (-1, -2, -100)))  # Nhanh.vn documentation, product/detail: no VAT is paid
MOST_VAT = 100  # percent
LARGEST_COUNT = 10**9


class Named(msgspec.Struct, gc=False):
    """A level or group of customers."""

    id: Reference | None = None
    name: Text | None = None


class NhanhCustomer(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A row of `customer/list`."""

    id: Id
    type: Small | None = None  # 1 retail, 2 wholesale, 3 agent
    name: Text | None = None
    mobile: Text | None = None  # as it was typed in, every digit kept
    code: Text | None = None
    email: Text | None = None
    address: Text | None = None
    gender: Small | None = None
    birthday: Text | None = None  # as it was typed in: often not a whole date
    points: Reference | None = None  # may be negative
    total_amount: Decimal | None = None
    group: Named | None = None
    level: Named | None = None
    started: Text | None = msgspec.field(default=None, name="startedDate")
    last_bought: Text | None = msgspec.field(default=None, name="lastBoughtDate")
    updated_at: Moment | None = None

    def __post_init__(self) -> None:
        if self.total_amount is not None:
            self.total_amount = check_amount("totalAmount", self.total_amount, negative=True)
        self.updated_at = _moment("updatedAt", self.updated_at)
        if not self.name:
            self.name = None
        if not self.mobile:
            self.mobile = None
        if not self.code:
            self.code = None
        if not self.email:
            self.email = None
        if not self.address:
            self.address = None
        if not self.birthday:
            self.birthday = None


class CustomerHead(UnreadRow, gc=False, rename={"updated_at": "updatedAt", "document": "_document"}):
    """Which customer a row of `customer/list` is, and when it changed: a time of 0 stands for never."""

    id: Id
    updated_at: Moment | None = None


class Prices(msgspec.Struct, gc=False, rename={"import_": "import"}):
    """The prices of a product; None where Nhanh has none."""

    retail: Decimal | None = None
    import_: Decimal | None = None
    old: Decimal | None = None
    wholesale: Decimal | None = None

    def __post_init__(self) -> None:
        self.retail = check_amount("prices.retail", self.retail)
        self.import_ = check_amount("prices.import", self.import_)
        self.old = check_amount("prices.old", self.old)
        self.wholesale = check_amount("prices.wholesale", self.wholesale)


ABSENT = Decimal("Infinity")  # a number that Nhanh.vn could never send


class StockFigures(msgspec.Struct, gc=False, rename={"transferring": "transfering"}, kw_only=True):
    """Pieces by what they are set aside for. May be fractional, and negative where more was sold than there was."""

    remain: Decimal = ZERO
    available: Decimal = ZERO
    holding: Decimal = ZERO
    shipping: Decimal = ZERO
    damaged: Decimal = ZERO
    transferring: Decimal = ZERO  # Nhanh spells it with one r

    def __post_init__(self) -> None:
        self.remain = check_amount("inventory.remain", self.remain, negative=True) or ZERO
        self.available = check_amount("inventory.available", self.available, negative=True) or ZERO
        self.holding = check_amount("inventory.holding", self.holding, negative=True) or ZERO
        self.shipping = check_amount("inventory.shipping", self.shipping, negative=True) or ZERO
        self.damaged = check_amount("inventory.damaged", self.damaged, negative=True) or ZERO
        self.transferring = check_amount("inventory.transfering", self.transferring, negative=True) or ZERO


class DepotStock(StockFigures, gc=False, kw_only=True):
    """The stock of a product in one depot. The two figures that are pushed must be there: a missing one is not zero."""

    depot_id: Id = msgspec.field(name="id")
    remain: Decimal = ABSENT
    available: Decimal = ABSENT

    def __post_init__(self) -> None:
        for name, figure in (("remain", self.remain), ("available", self.available)):
            if figure == ABSENT:
                raise UnfitRowError(
                    _("The field inventory.depots.{name} of depot {depot_id} is missing.").format(
                        name=name, depot_id=self.depot_id
                    )
                )
        StockFigures.__post_init__(self)


class Inventory(StockFigures, gc=False, kw_only=True):
    """The stock of a product over all depots that the access token may see, and in each of them."""

    depots: list[DepotStock] | None = None

    @property
    def is_told(self) -> bool:
        """Whether it says what each depot holds. A product without any record has no depots, and nothing in them."""
        if self.depots is None:
            return False
        return bool(self.depots) or not (self.available or self.remain)


class NhanhProduct(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A row of `product/list`."""

    id: Id
    parent_id: Reference | None = None  # -1 stands alone, -2 is a parent itself
    code: Text | None = None  # the SKU
    barcode: Text | None = None
    name: Text | None = None
    status: Small | None = None  # 1 new, 2 selling, 3 stopped, 4 out of stock
    type: Small | None = None
    prices: Prices | None = None
    price_vat_mode: Small | None = 2  # 1: prices hold VAT; 2, the default: they are without it
    category_id: Reference | None = None
    brand_id: Reference | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None  # does not move when only stock changes
    inventory: Inventory | None = None

    def __post_init__(self) -> None:
        self.created_at = _moment("createdAt", self.created_at)
        self.updated_at = _moment("updatedAt", self.updated_at)
        if not self.code:
            self.code = None
        if not self.barcode:
            self.barcode = None
        if not self.name:
            self.name = None


class NhanhDetail(msgspec.Struct, gc=False, kw_only=True):
    """What `product/detail` says and no list does."""

    vat: Decimal | None = None  # percent, or one of the marks that mean none

    @property
    def vat_rate(self) -> Decimal | None:
        """The VAT that a customer pays on it, in percent; None where Nhanh.vn does not say, or not in a known form.

        Nhanh.vn documentation, product/detail: -1 not taxable, -2 not declared, -100 is 0 %.
        """
        if self.vat is None or not self.vat.is_finite():
            return None
        if self.vat in VAT_MARKS:
            return ZERO
        return self.vat if 0 <= self.vat < MOST_VAT else None


class ComboItem(msgspec.Struct, gc=False, kw_only=True):
    """A component of a combo. product/list says `quantity`, product/combo `qty`."""

    id: Id
    quantity: Decimal | None = None
    qty: Decimal | None = None

    @property
    def count(self) -> Decimal | None:
        """How many of it are in one combo; None where that is not given."""
        count = self.quantity if self.quantity is not None else self.qty
        if count is None or not count.is_finite() or not 0 < count < LARGEST_COUNT:
            return None
        return count


class NhanhCombo(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A row of `product/combo`."""

    product_parent_id: Id  # the combo
    combo_items: list[ComboItem] | None = None

    @property
    def components(self) -> dict[int, Decimal]:
        """How many of which product make one; nothing where that is not given for all of them."""
        return components_of(self.combo_items or [])


def components_of(items: list[ComboItem]) -> dict[int, Decimal]:
    """How many of which product make one combo; nothing where that is not given for all of them."""
    found: dict[int, Decimal] = {}
    for item in items:
        if item.count is None:
            return {}
        found[item.id] = found.get(item.id, ZERO) + item.count
    return found


def read_components(document: bytes) -> dict[int, Decimal]:
    """The components in `combos` of product/list; nothing where there are none, or they can't be read."""
    try:
        return components_of(_decode_combo_items(document) or [])
    except msgspec.DecodeError:
        return {}


_decode_combo_items = msgspec.json.Decoder(list[ComboItem] | None, strict=False).decode


class NhanhInventory(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A row of `product/inventory`: lighter than a product, and can be filtered by the time of a stock change."""

    product_id: Id
    barcode: Text | None = None
    name: Text | None = None
    prices: Prices | None = None
    inventory: Inventory | None = None

    @property
    def id(self) -> int:
        """The product's id, by which the rows are told apart and sorted."""
        return self.product_id


class NhanhDepot(msgspec.Struct, gc=False, kw_only=True):
    """A depot of the business."""

    id: Id
    code: Text | None = None
    name: Text | None = None
    mobile: Text | None = None

    def __post_init__(self) -> None:
        if not self.code:
            self.code = None
        if not self.name:
            self.name = None
        if not self.mobile:
            self.mobile = None


def _moment(name: str, value: datetime | None) -> datetime | None:
    if value is None or value > EPOCH:
        return value
    if value == EPOCH:  # Nhanh's way of saying never
        return None
    raise UnfitRowError(_("The field {name} is out of range: {value}.").format(name=name, value=value.isoformat()))
