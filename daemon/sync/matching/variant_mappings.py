"""How single variants are mapped: the mapping that holds, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import assert_never

from daemon.api.mappings import MappingState
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import moment
from daemon.ids import StoreName
from daemon.sync.matching import common_keys
from daemon.sync.matching.common_keys import WORDS
from daemon.sync.matching.reasons import in_words

# The one that holds comes first, else the last one that was.
LATEST = """
SELECT DISTINCT ON (variant_id) variant_id, nhanh_id, source, note, changed_at, retired_at, retired_reason
FROM dongbo.product_mappings WHERE store = $1 AND variant_id = ANY ($2)
ORDER BY variant_id, retired_at IS NOT NULL, id DESC
"""

CONFLICTS = """
SELECT kind, key, nhanh_ids, shopify_ids FROM dongbo.match_conflicts
WHERE store = $1 AND kind IN ('sku', 'barcode') AND shopify_ids && $2 ORDER BY kind DESC, key
"""

CODES = "SELECT id AS variant_id, sku, barcode FROM dongbo.shopify_variants WHERE store = $1 AND id = ANY ($2)"


@dataclass(frozen=True, slots=True)
class VariantMapping:
    """Which product of Nhanh.vn a variant is.

    Args:
        nhanh_id: of a retired mapping, the product that it was.
        source: sku, barcode or manual; None where there is no mapping.
        changed_at: since when that is so; None where there never was a mapping.
        candidates: ids of the products that an ambiguous variant may be.
        reason: why a mapping was retired, which keys are ambiguous, or which are none.
    """

    state: MappingState = MappingState.UNMATCHED
    nhanh_id: int | None = None
    source: str | None = None
    note: str | None = None
    changed_at: datetime | None = None
    candidates: tuple[int, ...] = ()
    reason: str | None = None


async def mappings_of(
    connection: Connection, store: StoreName, variant_ids: Sequence[int]
) -> dict[int, VariantMapping]:
    """The mapping of each of these variants."""
    known = dict.fromkeys(variant_ids, VariantMapping())
    for row in await connection.fetch(LATEST, store, variant_ids):
        state = MappingState.MAPPED if row["nhanh_id"] is not None else MappingState.EXCLUDED
        known[row["variant_id"]] = VariantMapping(
            state=state if row["retired_at"] is None else MappingState.RETIRED,
            nhanh_id=row["nhanh_id"],
            source=row["source"],
            note=row["note"],
            changed_at=row["changed_at"],
            reason=row["retired_reason"],
        )
    for row in await connection.fetch(CONFLICTS, store, variant_ids):
        for variant_id in known.keys() & set(row["shopify_ids"]):
            known[variant_id] = _with_conflict(known[variant_id], row["kind"], row["key"], row["nhanh_ids"])
    unmatched = [number for number, mapping in known.items() if mapping.state is MappingState.UNMATCHED]
    codes = await connection.fetch(CODES, store, unmatched) if unmatched else ()
    for variant_id, reason in (await common_keys.obstacles(connection, store, codes)).items():
        known[variant_id] = VariantMapping(reason=reason)
    return known


def describe(mapping: VariantMapping, zone: tzinfo) -> str:
    """The mapping as a part of a sentence; times are in `zone`."""
    since = _(" on {time}").format(time=moment(mapping.changed_at, zone)) if mapping.changed_at is not None else ""
    note = f" ({mapping.note})" if mapping.note else ""
    match mapping.state:
        case MappingState.MAPPED if mapping.source == "manual":
            text = _("mapped to product {id} of Nhanh.vn by a person{since}{note}")
            return text.format(id=mapping.nhanh_id, since=since, note=note)
        case MappingState.MAPPED:
            word = _(WORDS[mapping.source or "sku"])
            text = _("mapped to product {id} of Nhanh.vn by its {word}{since}{note}")
            return text.format(id=mapping.nhanh_id, word=word, since=since, note=note)
        case MappingState.EXCLUDED:
            text = _("a person decided{since} that it has no counterpart at Nhanh.vn{note}")
            return text.format(since=since, note=note)
        case MappingState.AMBIGUOUS:
            text = _(
                "ambiguous: {codes} is not unique on both sides (candidates at Nhanh.vn: {products}): choose with "
                "dongbo map set"
            )
            return text.format(codes=mapping.reason, products=", ".join(map(str, mapping.candidates)))
        case MappingState.UNMATCHED:
            if mapping.reason is not None:
                return _("unmatched: {reason}; choose with dongbo map set").format(reason=mapping.reason)
            return _("unmatched: no product of Nhanh.vn has its SKU or barcode, or matching has not run yet")
        case MappingState.RETIRED:
            text = (
                _("its exclusion was retired{since}: {reason}")
                if mapping.nhanh_id is None
                else _("its mapping to product {id} was retired{since}: {reason}")
            )
            reason = in_words(mapping.reason) or _("the reason was not kept")
            return text.format(id=mapping.nhanh_id, since=since, reason=reason)
        case _:
            assert_never(mapping.state)


def _with_conflict(mapping: VariantMapping, kind: str, key: str, nhanh_ids: Sequence[int]) -> VariantMapping:
    if mapping.state in (MappingState.MAPPED, MappingState.EXCLUDED):
        return mapping
    earlier = mapping if mapping.state is MappingState.AMBIGUOUS else VariantMapping(MappingState.AMBIGUOUS)
    shared = _("its {word} {code}").format(word=_(WORDS[kind]), code=key)
    return replace(
        earlier,
        candidates=tuple(dict.fromkeys((*earlier.candidates, *nhanh_ids))),
        reason=_("{reason} and {shared}").format(reason=earlier.reason, shared=shared) if earlier.reason else shared,
    )
