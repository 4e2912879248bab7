"""Why a customer of Shopify is who at Nhanh.vn, or nobody there: what the rules of matching have found, in words.

The rules are those of `daemon.sync.matching.customers`; here is said what they met with, out of the same tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import assert_never

from asyncpg import Record

from daemon.api.customers import CustomerChoice, CustomerState
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import mark, moment, ngettext
from daemon.ids import StoreName
from daemon.sync.matching.reasons import in_words
from daemon.tone import Tone

MOST_PARTNERS = 20  # customers of Nhanh.vn that are named for one of Shopify
NAMED = 3  # phone numbers in a sentence

# The one that holds comes first, else the last one that was.
LATEST = """
SELECT DISTINCT ON (shopify_id) shopify_id, nhanh_id, source, phone, note, changed_at, retired_at, retired_reason
FROM dongbo.customer_mappings WHERE store = $1 AND shopify_id = ANY ($2)
ORDER BY shopify_id, retired_at IS NOT NULL, id DESC
"""

CONFLICTS = """
SELECT key, nhanh_ids[:20] AS nhanh_ids, shopify_ids FROM dongbo.match_conflicts
WHERE store = $1 AND kind = 'phone' AND shopify_ids && $2 ORDER BY key
"""

PHONES = """
SELECT customer_id, array_agg(phone ORDER BY array_position(ARRAY['phone', 'address', 'note'], origin), phone) AS phones
FROM dongbo.customer_phones WHERE store = $1 AND side = 'shopify' AND customer_id = ANY ($2) GROUP BY customer_id
"""

READ = """
SELECT customer_id FROM dongbo.customer_phone_states
WHERE store = $1 AND side = 'shopify' AND customer_id = ANY ($2)
"""

COMMON = """
SELECT key, nhanh_rows, shopify_rows FROM dongbo.common_keys WHERE store = $1 AND kind = 'phone' AND key = ANY ($2)
"""

# Who has these numbers at Nhanh.vn, and to whom they are mapped.
PARTNERS = """
SELECT known.phone, known.customer_id AS nhanh_id, mapping.shopify_id
FROM unnest($2::text[]) AS asked (phone) CROSS JOIN LATERAL (
    SELECT phone, customer_id FROM dongbo.customer_phones
    WHERE store = $1 AND phone = asked.phone AND side = 'nhanh' LIMIT 20
) AS known
LEFT JOIN dongbo.customer_mappings AS mapping
    ON mapping.store = $1 AND mapping.nhanh_id = known.customer_id AND mapping.retired_at IS NULL
"""

CHOICES = "SELECT id, name, mobile, email FROM dongbo.nhanh_customers WHERE store = $1 AND id = ANY ($2)"

FIELDS = {
    "phone": mark("matched by the phone number {phone}"),
    "address": mark("matched by the phone number {phone}, which is that of the customer's address at Shopify"),
    "note": mark("matched by the phone number {phone}, which stands in the customer's note at Shopify"),
}
TONES = {
    CustomerState.MAPPED: Tone.OK,
    CustomerState.EXCLUDED: Tone.OFF,
    CustomerState.AMBIGUOUS: Tone.ASK,
    CustomerState.UNMATCHED: Tone.OFF,  # most customers of a shop are on one side only
    CustomerState.NHANH_ONLY: Tone.OFF,
}


@dataclass(slots=True)
class Evidence:
    """What matching has found out about a customer of Shopify."""

    mapping: Record | None = None
    is_read: bool = False  # whether the phone numbers were read
    phones: Sequence[str] = ()
    conflicts: list[Record] = field(default_factory=list)
    partners: list[Record] = field(default_factory=list)  # who has the numbers at Nhanh.vn
    common: list[Record] = field(default_factory=list)  # numbers that too many have

    @property
    def live(self) -> Record | None:
        """The mapping that holds."""
        return self.mapping if self.mapping is not None and self.mapping["retired_at"] is None else None

    @property
    def state(self) -> CustomerState:
        """How the customer stands to those of Nhanh.vn."""
        if self.live is not None:
            return CustomerState.EXCLUDED if self.live["nhanh_id"] is None else CustomerState.MAPPED
        return CustomerState.AMBIGUOUS if self.conflicts else CustomerState.UNMATCHED

    @property
    def candidate_ids(self) -> list[int]:
        """Customers of Nhanh.vn who may be meant, those in conflict first."""
        in_conflict = [number for conflict in self.conflicts for number in conflict["nhanh_ids"]]
        return list(dict.fromkeys((*in_conflict, *(row["nhanh_id"] for row in self.partners))))[:MOST_PARTNERS]


async def gather(connection: Connection, store: StoreName, shopify_ids: Sequence[int]) -> dict[int, Evidence]:
    """What is known of each of these customers of Shopify."""
    found = {number: Evidence() for number in shopify_ids}
    for row in await connection.fetch(LATEST, store, shopify_ids):
        found[row["shopify_id"]].mapping = row
    for row in await connection.fetch(READ, store, shopify_ids):
        found[row["customer_id"]].is_read = True
    for row in await connection.fetch(PHONES, store, shopify_ids):
        found[row["customer_id"]].phones = row["phones"]
    for row in await connection.fetch(CONFLICTS, store, shopify_ids):
        for number in found.keys() & set(row["shopify_ids"]):
            found[number].conflicts.append(row)
    phones = list({phone for one in found.values() if one.live is None for phone in one.phones})
    partners = await connection.fetch(PARTNERS, store, phones) if phones else ()
    common = await connection.fetch(COMMON, store, phones) if phones else ()
    for one in found.values():
        if one.live is None:
            one.partners = [row for row in partners if row["phone"] in one.phones]
            one.common = [row for row in common if row["key"] in one.phones]
    return found


async def choices(connection: Connection, store: StoreName, one: Evidence) -> list[CustomerChoice]:
    """The customers of Nhanh.vn who may be meant."""
    shared = {row["nhanh_id"]: row["phone"] for row in one.partners}
    shared |= {number: conflict["key"] for conflict in one.conflicts for number in conflict["nhanh_ids"]}
    rows = {row["id"]: row for row in await connection.fetch(CHOICES, store, one.candidate_ids)}
    return [
        CustomerChoice(number, row["name"], row["mobile"], row["email"], shared.get(number))
        for number in one.candidate_ids
        if (row := rows.get(number)) is not None
    ]


def why(one: Evidence, zone: tzinfo) -> str:
    """Why the customer is mapped, or not, as a sentence; times are in `zone`."""
    match one.state:
        case CustomerState.MAPPED | CustomerState.EXCLUDED:
            return _decided(one, zone)
        case CustomerState.AMBIGUOUS:
            return _ambiguous(one)
        case CustomerState.UNMATCHED:
            return _unmatched(one)
        case CustomerState.NHANH_ONLY:
            return _("Nobody at Shopify is mapped to this customer of Nhanh.vn.")
        case _:
            assert_never(one.state)


def _decided(one: Evidence, zone: tzinfo) -> str:
    mapping = one.live
    if mapping is None:
        raise AssertionError("a decision has a mapping")
    since = moment(mapping["changed_at"], zone)
    note = f" ({mapping['note']})" if mapping["note"] else ""
    if mapping["nhanh_id"] is None:
        text = _("A person decided on {time} that there is no counterpart at Nhanh.vn{note}.")
        return text.format(time=since, note=note)
    if mapping["source"] == "manual":
        text = _("A person decided on {time} that this is customer {id} of Nhanh.vn{note}.")
        return text.format(time=since, id=mapping["nhanh_id"], note=note)
    how = _(FIELDS[mapping["source"]]).format(phone=mapping["phone"])
    text = _("Customer {id} of Nhanh.vn, {how} on {time}.")
    return text.format(id=mapping["nhanh_id"], how=how, time=since)


def _ambiguous(one: Evidence) -> str:
    phones = ", ".join(row["key"] for row in one.conflicts[:NAMED])
    buyers = len({number for row in one.conflicts for number in row["nhanh_ids"]})
    customers = len({number for row in one.conflicts for number in row["shopify_ids"]})
    text = _(
        "The phone number {phone} does not tell who is who: {buyers} at Nhanh.vn and {customers} at Shopify may be "
        "meant. Choose one, or say that there is no counterpart."
    )
    return text.format(phone=phones, buyers=buyers, customers=customers)


def _unmatched(one: Evidence) -> str:
    if one.mapping is not None and one.mapping["source"] != "manual" and one.mapping["retired_reason"]:
        return _("Was mapped to customer {id} of Nhanh.vn, until: {reason}.").format(
            id=one.mapping["nhanh_id"], reason=in_words(one.mapping["retired_reason"])
        )
    if not one.is_read:
        return _("The customers have not been matched since this one came or changed: run MATCH_CUSTOMERS.")
    if not one.phones:
        return _("No phone number that could be read stands with the customer at Shopify, and names match nobody.")
    if one.common:
        row = one.common[0]
        text = _(
            "{buyers} at Nhanh.vn and {customers} at Shopify have the phone number {phone}: it tells nobody apart."
        )
        return text.format(phone=row["key"], buyers=row["nhanh_rows"], customers=row["shopify_rows"])
    taken = [row for row in one.partners if row["shopify_id"] is not None]
    if taken:
        text = _(
            "Customer {id} of Nhanh.vn has the phone number {phone}, and is mapped to customer {other} of Shopify."
        )
        return text.format(id=taken[0]["nhanh_id"], phone=taken[0]["phone"], other=taken[0]["shopify_id"])
    if one.partners:
        text = _("Customer {id} of Nhanh.vn has the phone number {phone}: the next matching decides.")
        return text.format(id=one.partners[0]["nhanh_id"], phone=one.partners[0]["phone"])
    return ngettext(
        "Nobody at Nhanh.vn has the phone number {phones}.",
        "Nobody at Nhanh.vn has one of the phone numbers {phones}.",
        len(one.phones),
    ).format(phones=", ".join(one.phones[:NAMED]))
