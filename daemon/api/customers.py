"""Customers: searched on both sides, who is who, and why somebody is nobody there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from annotated_types import Len, MaxLen

from daemon.api.fields import LENIENT, NUMBER_CURSOR_PATTERN, STORABLE, STORE_PATTERN, STRICT, Id, Limit, StoreText
from daemon.api.items import Deed
from daemon.api.pushes import PushKind, PushResult
from daemon.ids import StoreName
from daemon.tone import Tone

MOST_CUSTOMERS: Final = 500  # of a request


class CustomerState(StrEnum):
    """What is known about a Shopify customer's counterpart at Nhanh.vn."""

    MAPPED = "mapped"
    EXCLUDED = "excluded"  # a person has said that there is none
    AMBIGUOUS = "ambiguous"  # several could be meant: a person must choose
    UNMATCHED = "unmatched"  # nobody has the phone number
    NHANH_ONLY = "nhanh_only"  # a customer of Nhanh.vn whom nobody at Shopify is mapped to


@dataclass(frozen=True, slots=True)
class CustomerChoice:
    """A customer of Nhanh.vn who may be meant; `phone` is the number that both share, where they do."""

    nhanh_id: int
    name: str | None
    mobile: str | None
    email: str | None
    phone: str | None


@dataclass(frozen=True, slots=True)
class CustomerHit:
    """A customer of a list.

    Args:
        shopify_id: None of whom only Nhanh.vn has.
        nhanh_id: whom the customer is mapped to.
        phone: as it is written on the side that the row is about.
        source: phone, address or note, where the number stood by which they were matched; manual: by a person.
        text: why they are matched, or why not.
    """

    store: StoreName
    shopify_id: int | None
    nhanh_id: int | None
    name: str | None
    phone: str | None
    email: str | None
    state: CustomerState
    source: str | None
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class CustomerList:
    """Customers that were found; without a search in the order of their ids."""

    customers: Sequence[CustomerHit]
    text: str | None  # what to say of the search, such as that it found too much
    next_cursor: str | None  # None on the last page


@dataclass(frozen=True, slots=True)
class ShopifySide:
    """What Shopify has of a customer. Amounts are decimal numbers as text."""

    id: int
    name: str | None
    email: str | None
    phone: str | None
    address_phone: str | None
    note: str | None
    tags: Sequence[str]
    amount_spent: str | None
    currency: str | None
    numbers: Sequence[str]  # the phone numbers that were read, E.164
    changed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class NhanhSide:
    """What Nhanh.vn has of a customer. Amounts are decimal numbers as text."""

    id: int
    name: str | None
    mobile: str | None
    email: str | None
    code: str | None
    total_amount: str | None
    numbers: Sequence[str]  # the phone numbers that were read, E.164
    changed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class CustomerMapping:
    """Who a customer of Shopify is at Nhanh.vn, or why nobody; `text` says it for people."""

    state: CustomerState
    source: str | None
    nhanh_id: int | None
    phone: str | None
    since: datetime | None
    note: str | None
    candidates: Sequence[CustomerChoice]
    text: str


@dataclass(frozen=True, slots=True)
class CustomerPush:
    """A value of the customer that was pushed to Shopify, or was to be."""

    id: int
    kind: PushKind
    job_id: UUID
    name: str | None
    old_value: str | None
    new_value: str | None
    reason: str
    result: PushResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of Shopify, with the one of Nhanh.vn.

    Args:
        pushes: the last ones, newest first.
    """

    store: StoreName
    tone: Tone
    text: str
    shopify: ShopifySide
    nhanh: NhanhSide | None
    mapping: CustomerMapping
    pushes: Sequence[CustomerPush]
    actions: Sequence[Deed]  # the last decisions of people, newest first


@dataclass(frozen=True, slots=True)
class OverruledCustomer:
    """An automatic mapping that gave way, because a person gave its customer of Nhanh.vn to another one."""

    shopify_id: int
    nhanh_id: int


@dataclass(frozen=True, slots=True)
class CustomerOutcome:
    """What became of the entries of one request, as of ManualOutcome."""

    written: int
    replaced: int
    unchanged: int
    overruled: Sequence[OverruledCustomer]


@dataclass(frozen=True, slots=True)
class CustomerEntry:
    """A decision about one customer."""

    __pydantic_config__: ClassVar[Any] = STRICT

    shopify_id: Id
    nhanh_id: Id | None = field(
        metadata={"description": "The customer of Nhanh.vn; null: there is no counterpart there."}
    )


@dataclass(frozen=True, slots=True)
class SetCustomersBody:
    """Decisions to note."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
    entries: Annotated[list[CustomerEntry], Len(1, MOST_CUSTOMERS)]
    note: Annotated[str | None, MaxLen(500), STORABLE] = field(
        default=None, metadata={"description": "Why, for whoever looks later."}
    )


@dataclass(frozen=True, slots=True)
class RemoveCustomersBody:
    """Decisions to take back."""

    __pydantic_config__: ClassVar[Any] = STRICT

    store: StoreText = field(metadata={"description": "A store of the configuration."})
    shopify_ids: Annotated[list[Id], Len(1, MOST_CUSTOMERS)]


@dataclass(frozen=True, slots=True)
class CustomersQuery:
    """Which customers to list."""

    __pydantic_config__: ClassVar[Any] = LENIENT

    store: str = field(metadata={"pattern": STORE_PATTERN})
    q: Annotated[str | None, MaxLen(300), STORABLE] = field(
        default=None,
        metadata={
            "description": "Words, each a part of a name, a phone number however it is written, or an email address; "
            "or an id, also as gid://… or the admin's address.",
            "examples": ["nguyen van an", "0912 345"],
        },
    )
    state: CustomerState | None = None
    limit: Limit = 50
    cursor: str | None = field(
        default=None, metadata={"pattern": NUMBER_CURSOR_PATTERN, "description": "next_cursor of the page before."}
    )
