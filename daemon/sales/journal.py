"""All SQL on `dongbo.sale_writes`: every write of prices for a campaign, its intent before the call and its result."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.api.sales import WriteAction, WriteResult
from daemon.database.pool import Connection
from daemon.ids import CampaignId, JobId, RunToken, SaleName, StoreName
from daemon.sources.shopify.models import PricePair

RECORD = """
INSERT INTO dongbo.sale_writes (campaign_id, store, action, job_id, run_token, variant_id, old_price, old_compare_at,
    new_price, new_compare_at)
SELECT $1, $2, $3, $4, $5, * FROM unnest($6::bigint[], $7::numeric[], $8::numeric[], $9::numeric[], $10::numeric[])
"""

SETTLE = """
UPDATE dongbo.sale_writes AS write
SET result = outcome.result, detail = outcome.detail, settled_at = clock_timestamp(),
    in_doubt = in_doubt OR write.variant_id = ANY ($5)
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS outcome (variant_id, result, detail)
WHERE write.campaign_id = $1 AND write.variant_id = outcome.variant_id AND write.result = 'intended'
"""

# What the campaign itself has ever meant to set: if Shopify has it, nobody else changed it.
LIST_OWN = """
SELECT DISTINCT variant_id, new_price, new_compare_at FROM dongbo.sale_writes
WHERE campaign_id = $1 AND variant_id = ANY ($2) AND result <> 'refused'
"""

# What dongbo has ever meant to set, for any campaign: a late call of its own may have set it.
LIST_SENT = """
SELECT DISTINCT write.variant_id, write.new_price, write.new_compare_at FROM dongbo.sale_campaigns AS campaign
JOIN dongbo.sale_writes AS write ON write.campaign_id = campaign.id AND write.variant_id = ANY ($2)
WHERE campaign.store = $1 AND write.result <> 'refused'
"""

LIST_PUSHED = """
SELECT DISTINCT owner_id AS variant_id, new_value::numeric AS price FROM dongbo.pushes
WHERE store = $1 AND owner_id = ANY ($2) AND kind = 'price' AND result IN ('applied', 'unknown')
"""

LIST_OF_VARIANT = """
SELECT action, old_price, old_compare_at, new_price, new_compare_at, result, detail, intended_at, settled_at, job_id
FROM dongbo.sale_writes WHERE campaign_id = $1 AND variant_id = $2 ORDER BY id
"""


LAST_APPLIED = """
SELECT DISTINCT ON (write.variant_id) write.variant_id, campaign.name, write.action, write.new_price,
    write.new_compare_at, write.settled_at
FROM dongbo.sale_campaigns AS campaign
JOIN dongbo.sale_writes AS write ON write.campaign_id = campaign.id AND write.variant_id = ANY ($2)
WHERE campaign.store = $1 AND write.result = 'applied'
ORDER BY write.variant_id, write.id DESC
"""


@dataclass(frozen=True, slots=True)
class LastWrite:
    """The last prices that any sale set on a variant; `at` is aware UTC."""

    sale: SaleName
    action: WriteAction
    new: PricePair
    at: datetime


@dataclass(frozen=True, slots=True)
class Write:
    """A variant's prices as they are and as they are to be."""

    variant_id: int
    product_id: int
    old: PricePair
    new: PricePair


@dataclass(frozen=True, slots=True)
class RecordedWrite:
    """A row of `dongbo.sale_writes`. Times are aware UTC."""

    action: WriteAction
    old: PricePair
    new: PricePair
    result: WriteResult
    detail: str | None
    intended_at: datetime
    settled_at: datetime | None
    job_id: JobId


async def record(
    connection: Connection,
    campaign_id: CampaignId,
    store: StoreName,
    action: WriteAction,
    job_id: JobId,
    run_token: RunToken,
    writes: Sequence[Write],
) -> None:
    """Record what is about to be written; committed before the call."""
    await connection.execute(
        RECORD,
        campaign_id,
        store,
        action,
        job_id,
        run_token,
        [write.variant_id for write in writes],
        [write.old.price for write in writes],
        [write.old.compare_at for write in writes],
        [write.new.price for write in writes],
        [write.new.compare_at for write in writes],
    )


async def settle(
    connection: Connection,
    campaign_id: CampaignId,
    outcomes: Mapping[int, tuple[WriteResult, str | None]],
    in_doubt: Collection[int] = (),
) -> None:
    """Record how open writes ended, {variant: (result, detail)}.

    `in_doubt`: variants for which a call was, or may have been, sent without an answer: it may be carried out late.
    """
    if outcomes:
        results, details = [result for result, _ in outcomes.values()], [detail for _, detail in outcomes.values()]
        await connection.execute(SETTLE, campaign_id, list(outcomes), results, details, list(in_doubt))


async def may_be_ours(connection: Connection, store: StoreName, seen: Mapping[int, PricePair]) -> frozenset[int]:
    """Those of {variant: what Shopify has} that dongbo itself may have set: by a sale, or by the product sync."""
    numbers = list(seen)
    sale = {
        (row["variant_id"], PricePair(row["new_price"], row["new_compare_at"]))
        for row in await connection.fetch(LIST_SENT, store, numbers)
    }
    pushed = {(row["variant_id"], row["price"]) for row in await connection.fetch(LIST_PUSHED, store, numbers)}
    return frozenset(
        number for number, prices in seen.items() if (number, prices) in sale or (number, prices.price) in pushed
    )


async def own_prices(
    connection: Connection, campaign_id: CampaignId, variant_ids: Sequence[int]
) -> dict[int, set[PricePair]]:
    """All prices that the campaign has ever meant to set, by variant."""
    found: dict[int, set[PricePair]] = {}
    for row in await connection.fetch(LIST_OWN, campaign_id, variant_ids):
        found.setdefault(row["variant_id"], set()).add(PricePair(row["new_price"], row["new_compare_at"]))
    return found


async def last_applied(connection: Connection, store: StoreName, variant_ids: Sequence[int]) -> dict[int, LastWrite]:
    """The last write of any sale that Shopify took, by variant."""
    return {
        row["variant_id"]: LastWrite(
            SaleName(row["name"]),
            WriteAction(row["action"]),
            PricePair(row["new_price"], row["new_compare_at"]),
            row["settled_at"],
        )
        for row in await connection.fetch(LAST_APPLIED, store, variant_ids)
    }


async def list_of_variant(connection: Connection, campaign_id: CampaignId, variant_id: int) -> list[RecordedWrite]:
    """What a campaign has written to a variant, oldest first."""
    return [
        RecordedWrite(
            action=WriteAction(row["action"]),
            old=PricePair(row["old_price"], row["old_compare_at"]),
            new=PricePair(row["new_price"], row["new_compare_at"]),
            result=WriteResult(row["result"]),
            detail=row["detail"],
            intended_at=row["intended_at"],
            settled_at=row["settled_at"],
            job_id=JobId(UUID(int=row["job_id"].int)),
        )
        for row in await connection.fetch(LIST_OF_VARIANT, campaign_id, variant_id)
    ]
