"""The journal of what callers of the API wrote: the witness for tests that nothing was written twice."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

Subject = tuple[str | int, ...]
WrittenValue = int | str | Decimal | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class AppliedWrite:
    """One value that a mutation set. Refused calls, replayed answers and changes made in process are not written.

    Args:
        at: when, in UTC.
        operation: the mutation, such as "inventorySetQuantities".
        key: the call's idempotency key; None where the mutation takes none.
        subject: what was set: ("stock", item id, location id), ("activate", item id, location id),
            ("price", variant id), ("compare_at_price", variant id), ("metafield", customer id, "namespace.key"),
            ("tags", customer id) or ("product_tags", product id).
        before: the value that was there; None for none.
        after: the value that is there now.
    """

    at: datetime
    operation: str
    key: str | None
    subject: Subject
    before: WrittenValue
    after: WrittenValue

    @property
    def has_effect(self) -> bool:
        """Whether the value was another one before."""
        return self.before != self.after
