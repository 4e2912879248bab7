"""Matching products: rule by rule, and all rules at once against a small model."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.api.mappings import ManualOutcome, Mapping, MappingState
from daemon.database.pool import Connection, Database
from daemon.errors import DatabaseUnavailable, InvalidMapping
from daemon.ids import WorkerName
from daemon.jobs.context import StopReason
from daemon.jobs.model import Counters, JobRequest, JobStatus, JobTrigger
from daemon.jobs.types import JobType
from daemon.mirror.keys import RULES
from daemon.sync.matching.mapping_list import list_mappings, resolve_product, resolve_variant
from daemon.sync.matching.mappings import DECISIONS, set_manual
from daemon.sync.matching.outcome import MatchOutcome
from daemon.tasks.customer_matching import matching_of as matching_of_customers
from daemon.tasks.match_products import matching_of
from daemon.texts import INVISIBLE
from tests.support.match_jobs import (
    STORE,
    MatchJobs,
    Product,
    Variant,
    fetch_all,
    in_batches_of,
    match_in,
    put_products,
    put_variants,
)

LIVE = "SELECT variant_id, nhanh_id, source FROM dongbo.product_mappings WHERE retired_at IS NULL ORDER BY variant_id"
WORKING_TABLES = """
SELECT relname, oid FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' ORDER BY relname
"""
CONFLICTS = "SELECT kind, key, nhanh_ids, shopify_ids FROM dongbo.match_conflicts ORDER BY kind DESC, key"


@dataclass
class Shop:
    """Both mirrors, and matching in a transaction of its own."""

    database: Database

    async def put(self, products: Sequence[Product] = (), variants: Sequence[Variant] = (), **options: Any) -> None:
        """Let the mirrors have these rows."""
        async with self.database.acquire() as connection:
            await put_products(connection, products)
            await put_variants(connection, variants, **options)

    async def match(self) -> MatchOutcome:
        """Match, and commit."""
        async with self.database.acquire() as connection:
            return await match_in(connection, matching_of(STORE))

    async def decide(self, *entries: tuple[int, int | None], note: str | None = None) -> ManualOutcome:
        """A person's word."""
        async with self.database.acquire() as connection:
            return await set_manual(connection, STORE, entries, note)

    async def forget(self, *variant_ids: int) -> int:
        """A person takes it back."""
        async with self.database.acquire() as connection:
            return await DECISIONS.take_back(connection, STORE, variant_ids)

    async def mapped(self) -> list[tuple[int, int | None, str]]:
        """The mappings that hold: (variant, product, source)."""
        async with self.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(LIVE)]

    async def conflicts(self) -> list[tuple[str, str, list[int], list[int]]]:
        """(kind, key, products, variants)."""
        async with self.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(CONFLICTS)]

    async def reasons(self) -> list[str]:
        """Why mappings were retired, oldest first."""
        async with self.database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT retired_reason FROM dongbo.product_mappings WHERE retired_at IS NOT NULL ORDER BY id"
            )
        return [row["retired_reason"] for row in rows]

    async def listed(self, state: MappingState | None = None, search: str | None = None) -> list[Mapping]:
        """What a person sees."""
        async with self.database.acquire() as connection:
            return await list_mappings(connection, STORE, state=state, search=search, after=0, limit=100)


@pytest.fixture
def shop(database: Database) -> Shop:
    """Empty mirrors."""
    return Shop(database)


@pytest.fixture
def match_jobs(database: Database) -> MatchJobs:
    """Jobs that run in the test."""
    return MatchJobs(database)


async def test_sku_comes_before_barcode(shop: Shop) -> None:
    """A pair is matched by SKU, else by barcode; neither case nor space tells keys apart."""
    await shop.put(
        [Product(1, "ÁO-01", "893A"), Product(2, None, "893B"), Product(3, "x", "893C")],
        [Variant(11, "áo -01", "893C"), Variant(12, "other", "893b"), Variant(13, None, "893A")],
    )
    outcome = await shop.match()
    # 13 has the barcode of 1, which has its SKU's variant already; 3 has the barcode of 11.
    assert await shop.mapped() == [(11, 1, "sku"), (12, 2, "barcode")]
    assert outcome.counters == Counters(created=2, skipped=1)
    assert (outcome.figures["mapped"], outcome.figures["unmatched"], outcome.figures["ambiguous"]) == (2, 1, 0)


async def test_shared_keys_wait_for_a_person(shop: Shop) -> None:
    """A key that several rows of a side have matches nothing, and is listed with all candidates."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "B "), Product(4, "c"), Product(5, "c")],
        [Variant(11, "a"), Variant(12, "A"), Variant(13, "b"), Variant(14, "d"), Variant(15, "d")],
    )
    outcome = await shop.match()
    assert await shop.mapped() == []
    assert await shop.conflicts() == [("sku", "a", [1], [11, 12]), ("sku", "b", [2, 3], [13])]
    assert outcome.figures["conflicts"] == 2
    assert (outcome.figures["ambiguous"], outcome.figures["unmatched"]) == (3, 2)


async def test_barcode_settles_a_shared_sku(shop: Shop) -> None:
    """A row whose SKU is ambiguous is matched by a barcode that is not; the others still wait."""
    await shop.put(
        [Product(1, "a", "1"), Product(2, "a", "2")],
        [Variant(11, "a", "1"), Variant(12, "a", "3")],
    )
    await shop.match()
    assert await shop.mapped() == [(11, 1, "barcode")]
    assert await shop.conflicts() == [("sku", "a", [1, 2], [11, 12])]


async def test_barcode_counts_among_rows_matched_by_sku_too(shop: Shop) -> None:
    """A barcode that a row matched by SKU has as well is not unique; and nobody waits for a row that is settled."""
    await shop.put(
        [Product(1, "a", "1"), Product(2, "b", "1")],
        [Variant(11, "a", "9"), Variant(12, None, "1")],
    )
    await shop.match()
    assert await shop.mapped() == [(11, 1, "sku")]
    assert await shop.conflicts() == [("barcode", "1", [1, 2], [12])]


async def test_rows_that_take_no_part(shop: Shop) -> None:
    """Deleted rows, variants of a deleted product and parents of variants are neither matched nor in the way."""
    await shop.put(
        [
            Product(1, "a"),
            Product(2, "a", is_deleted=True),
            Product(3, "a", is_parent=True),
            Product(4, "b", is_parent=True),
        ],
        [Variant(11, "a"), Variant(12, "a", is_deleted=True), Variant(13, "a", product_id=200), Variant(14, "b")],
        deleted=[200],
    )
    outcome = await shop.match()
    assert await shop.mapped() == [(11, 1, "sku")]
    assert outcome.counters.processed == 2


async def test_second_run_changes_nothing(shop: Shop) -> None:
    """Matching again writes no row at all."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "b")], [Variant(11, "a"), Variant(12, "b"), Variant(13)]
    )
    await shop.match()
    before = await fetch_all(shop.database, ["product_mappings", "match_conflicts"])
    outcome = await shop.match()
    assert outcome.counters == Counters(skipped=3)
    assert await fetch_all(shop.database, ["product_mappings", "match_conflicts"]) == before


async def test_existing_mapping_stays_when_a_newcomer_has_its_key(shop: Shop) -> None:
    """A product duplicated at Shopify leaves the stock where it was, and the doubt is listed until it is gone."""
    await shop.put([Product(1, "a")], [Variant(11, "a")])
    await shop.match()
    await shop.put(variants=[Variant(12, "a")])
    outcome = await shop.match()
    assert await shop.mapped() == [(11, 1, "sku")]
    assert await shop.conflicts() == [("sku", "a", [1], [11, 12])]
    assert (outcome.counters, outcome.figures["ambiguous"]) == (Counters(skipped=2), 1)
    await shop.decide((12, None))
    await shop.match()
    assert await shop.conflicts() == []


@pytest.mark.parametrize("original", ["ARCHIVED", "DRAFT"])
@pytest.mark.parametrize("copy", ["ACTIVE", "UNLISTED"])
async def test_key_goes_to_the_copy_that_is_on_sale(shop: Shop, original: str, copy: str) -> None:
    """An archived original and the copy on sale have one SKU: the copy is the product, and nobody is asked."""
    await shop.put([Product(1, "a")], [Variant(11, "a", status=original), Variant(12, "a", status=copy)])
    await shop.match()
    assert (await shop.mapped(), await shop.conflicts()) == ([(12, 1, "sku")], [])
    (left,) = await shop.listed(MappingState.UNMATCHED)
    assert (left.variant_id, left.reason) == (11, "no product at Nhanh.vn that is still free has this SKU or barcode")


async def test_archived_product_keeps_its_mapping_where_nobody_else_has_the_key(shop: Shop) -> None:
    """Of archived ones alone, each has what is its own."""
    await shop.put([Product(1, "a")], [Variant(11, "a", status="ARCHIVED"), Variant(12, "b")])
    await shop.match()
    assert await shop.mapped() == [(11, 1, "sku")]
    before = await fetch_all(shop.database, ["product_mappings"])
    await shop.match()
    assert await fetch_all(shop.database, ["product_mappings"]) == before


@pytest.mark.parametrize("keys", [("a", None), (None, "893A"), ("z9", "893A")])
async def test_mapping_moves_from_an_archived_product_to_its_copy(
    shop: Shop, keys: tuple[str | None, str | None]
) -> None:
    """By whichever key of the product; what became of the old one is told, and so is where the new one comes from."""
    await shop.put([Product(1, "a", "893A")], [Variant(11, "a", "893A")])
    await shop.match()
    await shop.put(variants=[Variant(11, "a", "893A", status="ARCHIVED"), Variant(12, *keys)])
    outcome = await shop.match()
    kind = "sku" if keys[0] == "a" else "barcode"
    assert await shop.mapped() == [(12, 1, kind)]
    word = "SKU" if kind == "sku" else "barcode"
    assert await shop.reasons() == [
        f"variant 12, which is on sale, has the same {word} as product 1; variant 11 is archived or a draft"
    ]
    listed = {mapping.variant_id: mapping for mapping in await shop.listed()}
    assert listed[12].note == "taken over from variant 11, which is not on sale"
    assert (outcome.counters, outcome.figures["retired"]) == (Counters(created=1, updated=1), 1)


async def test_person_s_word_about_an_archived_product_stays(shop: Shop) -> None:
    """Against a copy on sale, too."""
    await shop.put([Product(1, "a")], [Variant(11, "a", status="ARCHIVED"), Variant(12, "a")])
    await shop.decide((11, 1))
    await shop.match()
    assert await shop.mapped() == [(11, 1, "manual")]


async def test_two_copies_on_sale_wait_for_a_person_and_the_archived_one_gives_way(shop: Shop) -> None:
    """Neither gets the stock before a person has chosen, and it does not stay with what nobody can buy."""
    await shop.put([Product(1, "a", "893A")], [Variant(11, "a", "893A")])
    await shop.match()
    await shop.put(variants=[Variant(11, "a", "893A", status="ARCHIVED"), Variant(12, "a"), Variant(13, "a")])
    await shop.match()
    assert await shop.mapped() == []
    assert await shop.conflicts() == [("sku", "a", [1], [12, 13])]
    assert await shop.reasons() == [
        "variants that are on sale have a key of product 1, so a person must choose; variant 11 is archived or a draft"
    ]
    await shop.match()
    assert await shop.mapped() == []


async def test_mapping_goes_to_the_heir_that_is_on_sale(shop: Shop) -> None:
    """A product that was deleted leaves an archived copy and one on sale."""
    await shop.put([Product(1, "a")], [Variant(11, "a")])
    await shop.decide((11, 1))
    await shop.put(variants=[Variant(11, "a", is_deleted=True), Variant(12, "a", status="ARCHIVED"), Variant(13, "a")])
    await shop.match()
    assert await shop.mapped() == [(13, 1, "manual")]


PLACEHOLDERS = ("N/A", "0", "-", "không có", "Chưa có", "x", "TEST", "null", "\u200b.", "00-00", "8.93E+12")


@pytest.mark.parametrize("text", PLACEHOLDERS)
async def test_placeholder_matches_nothing_by_itself_and_is_listed(shop: Shop, text: str) -> None:
    """Neither as SKU nor as barcode; the list says why, and a person may still decide."""
    await shop.put([Product(1, text), Product(2, None, text)], [Variant(11, text), Variant(12, "a1", text)])
    await shop.match()
    assert (await shop.mapped(), await shop.conflicts()) == ([], [])
    listed = await shop.listed(MappingState.UNMATCHED)
    assert [(row.variant_id, "its SKU" in str(row.reason)) for row in listed] == [(11, True), (12, False)]
    assert all("is a placeholder" in str(row.reason) or "was shortened" in str(row.reason) for row in listed)
    await shop.decide((11, 1))
    await shop.match()
    assert await shop.mapped() == [(11, 1, "manual")]


async def test_key_on_more_than_a_few_rows_matches_nothing_and_is_listed(shop: Shop) -> None:
    """An automatic mapping by such a key ends, with its reason; one by a person stays."""
    await shop.put([Product(1, "a"), Product(2, "b"), Product(3, "c")], [Variant(11, "a"), Variant(12, "b")])
    await shop.match()
    await shop.put(variants=[Variant(number, "a") for number in range(21, 24)])
    outcome = await shop.match()
    assert await shop.mapped() == [(12, 2, "sku")]
    assert (outcome.figures["common_keys"], outcome.figures["ambiguous"]) == (1, 0)
    assert await shop.reasons() == [
        "the SKU a is on 1 products of Nhanh.vn and 4 variants of Shopify, so it identifies none of them"
    ]
    assert {row.reason for row in await shop.listed() if row.variant_id > 20} == {
        "no product at Nhanh.vn matches: its SKU a is on 4 variants of Shopify"
    }
    before = await fetch_all(shop.database, ["product_mappings", "common_keys"])
    await shop.match()
    assert await fetch_all(shop.database, ["product_mappings", "common_keys"]) == before
    await shop.decide((11, 1))
    await shop.match()
    assert await shop.mapped() == [(11, 1, "manual"), (12, 2, "sku")]


async def test_archived_copies_do_not_make_a_key_common(shop: Shop) -> None:
    """A shop that archives its product each season has one on sale."""
    copies = [Variant(number, "a", status="ARCHIVED") for number in range(11, 19)]
    await shop.put([Product(1, "a")], [*copies, Variant(20, "a")])
    await shop.match()
    assert await shop.mapped() == [(20, 1, "sku")]


async def test_barcode_of_many_products_at_nhanh_matches_nothing(shop: Shop) -> None:
    """One side is enough."""
    await shop.put([Product(number, None, "893A") for number in range(1, 5)], [Variant(11, "k1", "893A")])
    outcome = await shop.match()
    assert (await shop.conflicts(), outcome.figures["common_keys"]) == ([], 1)
    (row,) = await shop.listed()
    assert row.reason == "no product at Nhanh.vn matches: its barcode 893A is on 4 products of Nhanh.vn"


async def test_keys_of_before_an_upgrade_are_computed_anew(shop: Shop, match_jobs: MatchJobs) -> None:
    """Rows that no pull brings again get keys by the present rules; mappings by what is no key any more end."""
    await shop.put(
        [Product(1, "N/A"), Product(2, "ao-1")],
        [Variant(11, "N/A"), Variant(12, "\u202aAO-1\u202c"), Variant(13, "b1")],
    )
    async with shop.database.acquire() as connection:
        await connection.execute("UPDATE dongbo.shopify_variants SET sku_key = lower(sku) WHERE id < 13")
        await connection.execute("UPDATE dongbo.nhanh_products SET sku_key = 'n/a' WHERE id = 1")
        await connection.execute("INSERT INTO dongbo.key_rules VALUES ('main', 'nhanh', '1'), ('main', 'shopify', '1')")
        await connection.execute(
            "INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source) VALUES ('main', 11, 1, 'sku')"
        )
    tables = ["product_mappings", "nhanh_products", "shopify_variants", "key_rules"]
    before = await fetch_all(shop.database, tables)
    dry = await match_jobs.run(JobType.MATCH_PRODUCTS, dry_run=True)
    assert await fetch_all(shop.database, tables) == before
    assert [row["variant_id"] for row in dry.metadata["sample"]["matched"]] == [12]
    await match_jobs.run(JobType.MATCH_PRODUCTS)
    assert await shop.mapped() == [(12, 2, "sku")]
    assert await shop.reasons() == ["the SKU N/A identifies nothing, so it matches nothing by itself"]
    async with shop.database.acquire() as connection:
        assert await connection.fetchval("SELECT array_agg(DISTINCT rules) FROM dongbo.key_rules") == [RULES]


async def test_mapping_whose_key_changed_is_matched_anew(shop: Shop) -> None:
    """An automatic mapping ends with the agreement that it rests on."""
    await shop.put([Product(1, "a"), Product(2, "b")], [Variant(11, "a")])
    await shop.match()
    await shop.put(variants=[Variant(11, "b")])
    outcome = await shop.match()
    assert await shop.mapped() == [(11, 2, "sku")]
    assert outcome.counters == Counters(updated=1)
    assert outcome.figures["retired"] == 1
    assert await shop.reasons() == ["the SKUs of variant 11 and of product 1 no longer agree"]
    await shop.put(variants=[Variant(11, None)])
    assert (await shop.match()).counters == Counters(updated=1)
    assert await shop.mapped() == []


async def test_manual_mappings_win_and_stay(shop: Shop) -> None:
    """What a person has decided holds against keys, and its rows take no part in anything else."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "c")],
        [Variant(11, "a"), Variant(12, "b"), Variant(13, "b"), Variant(14, "c")],
    )
    await shop.match()
    assert await shop.mapped() == [(11, 1, "sku"), (14, 3, "sku")]
    outcome = await shop.decide((12, 1), (14, None), note="ngoại lệ")
    assert outcome.written == 2
    assert outcome.replaced == 1
    assert [(freed.variant_id, freed.nhanh_id) for freed in outcome.overruled] == [(11, 1)]
    await shop.match()
    # Without 12, the SKU b is unique; 1 and 14 are decided.
    assert await shop.mapped() == [(12, 1, "manual"), (13, 2, "sku"), (14, None, "manual")]
    assert await shop.reasons() == [
        "a person has given product 1 to another variant",
        "a person has decided otherwise about variant 14",
    ]
    assert await shop.forget(12, 14, 13, 999, -1) == 2
    await shop.match()
    assert await shop.mapped() == [(11, 1, "sku"), (13, 2, "sku"), (14, 3, "sku")]


async def test_manual_mapping_may_give_one_product_to_several_variants(shop: Shop) -> None:
    """People may do what matching never does."""
    await shop.put([Product(1, "a")], [Variant(11, "a"), Variant(12), Variant(13)])
    await shop.decide((12, 1), (13, 1))
    await shop.match()
    assert await shop.mapped() == [(12, 1, "manual"), (13, 1, "manual")]


async def test_same_decision_again_changes_only_its_note(shop: Shop) -> None:
    """Importing the same decisions twice leaves the mappings alone."""
    await shop.put([Product(1)], [Variant(11), Variant(12)])
    await shop.decide((11, 1), (12, None), note="first")
    before = await fetch_all(shop.database, ["product_mappings"])
    outcome = await shop.decide((11, 1), (12, None))
    assert (outcome.written, outcome.replaced, outcome.unchanged) == (0, 0, 2)
    assert await fetch_all(shop.database, ["product_mappings"]) == before
    await shop.decide((11, 1), note="second")
    assert [mapping.note for mapping in await shop.listed()] == ["second", "first"]


async def test_wrong_entries_are_named_all_at_once_and_nothing_is_written(shop: Shop) -> None:
    """Every entry that can't hold is named with what to do; the good ones are not written either."""
    await shop.put(
        [Product(1), Product(2, is_deleted=True), Product(3, is_parent=True)],
        [Variant(11), Variant(12, is_deleted=True), Variant(13, product_id=200), Variant(14), Variant(15), Variant(16)],
        deleted=[200],
    )
    entries = [(11, 1), (12, 1), (13, 1), (99, 1), (14, 2), (15, 3), (16, 98), (11, None), (2**63, 1), (16, 0)]
    with pytest.raises(InvalidMapping) as caught:
        await shop.decide(*entries)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "variant 11", "variant 16", str(2**63), "0", "variant 12", "variant 13", "variant 99",
        "product 2", "product 3", "product 98",
    ]  # fmt: skip
    assert await shop.mapped() == []


async def test_mappings_of_deleted_rows_are_retired_and_decisions_come_back(shop: Shop) -> None:
    """What a deleted row belonged to is retired with its reason; with the row, a person's decision comes back."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3)],
        [Variant(11, "a"), Variant(12, "b"), Variant(13), Variant(14, product_id=200)],
    )
    await shop.decide((13, 3), (14, None))
    await shop.match()
    await shop.put(
        [Product(1, "a", is_deleted=True), Product(3, is_parent=True)],
        [Variant(12, "b", is_deleted=True), Variant(14, product_id=200)],
        deleted=[200],
    )
    outcome = await shop.match()
    assert await shop.mapped() == []
    assert outcome.figures["retired"] == 4
    assert outcome.counters == Counters(updated=2)  # 12 and 14 are gone
    assert sorted(await shop.reasons()) == [
        "product 1 was deleted at Nhanh.vn",
        "product 200 was deleted at Shopify, and variant 14 with it",
        "product 3 has become a parent of variants at Nhanh.vn and holds no stock itself",
        "variant 12 was deleted at Shopify",
    ]
    await shop.put(
        [Product(1, "a"), Product(3)], [Variant(12, "b"), Variant(14, product_id=200)],
    )  # fmt: skip
    outcome = await shop.match()
    assert await shop.mapped() == [(11, 1, "sku"), (12, 2, "sku"), (13, 3, "manual"), (14, None, "manual")]
    assert outcome.counters == Counters(created=2, updated=2)
    assert outcome.figures["restored"] == 2


async def test_decision_that_was_taken_back_or_replaced_does_not_return(shop: Shop) -> None:
    """Only what was retired because a row was gone comes back, and only if it is the person's last word."""
    await shop.put([Product(1), Product(2)], [Variant(11), Variant(12)])
    await shop.decide((11, 1), (12, 1))
    await shop.put([Product(1, is_deleted=True)])
    await shop.match()
    await shop.decide((11, 2))
    await shop.forget(12)
    await shop.put([Product(1)])
    await shop.match()
    assert await shop.mapped() == [(11, 2, "manual")]
    await shop.forget(11)
    await shop.match()
    assert await shop.mapped() == []


async def test_returning_decision_replaces_what_was_matched_meanwhile(shop: Shop) -> None:
    """A person's word counts again with its rows, against automatic mappings of its variant and its product."""
    await shop.put([Product(1, "a"), Product(2, "b")], [Variant(11, "b"), Variant(12)])
    await shop.decide((11, 1))
    await shop.put([Product(1, is_deleted=True)])
    await shop.match()
    assert await shop.mapped() == [(11, 2, "sku")]
    await shop.put([Product(1, "a")])
    outcome = await shop.match()
    assert await shop.mapped() == [(11, 1, "manual")]
    assert outcome.counters == Counters(updated=1, skipped=1)


async def test_mapping_moves_to_the_variant_that_took_the_place(shop: Shop) -> None:
    """A product that was deleted and made anew at Shopify keeps its mappings, manual ones too."""
    await shop.put(
        [Product(1, "a"), Product(2), Product(3), Product(4)],
        [Variant(11, "a"), Variant(12, "m", "1"), Variant(13, "k"), Variant(14, "q", "7"), Variant(15, "w")],
    )
    await shop.decide((12, 2), (13, 3), (14, 4), (15, None), note="by hand")
    await shop.match()
    await shop.put(
        [],
        [
            Variant(11, "a", is_deleted=True), Variant(21, "a"),
            Variant(12, "m", "1", is_deleted=True), Variant(22, "M ", "5"),
            Variant(13, "k", is_deleted=True), Variant(23, "k"), Variant(33, "k"),  # two heirs: none
            Variant(14, "q", "7", is_deleted=True), Variant(24, None, "7"),
            Variant(15, "w", is_deleted=True), Variant(25, "w"),
        ],
    )  # fmt: skip
    outcome = await shop.match()
    assert await shop.mapped() == [(21, 1, "sku"), (22, 2, "manual"), (24, 4, "manual"), (25, None, "manual")]
    assert (outcome.figures["repaired"], outcome.figures["retired"]) == (4, 1)
    assert outcome.counters == Counters(updated=4, skipped=2)
    listed = {mapping.variant_id: mapping for mapping in await shop.listed()}
    assert listed[22].note == "by hand; moved from variant 12, which was deleted and had the same SKU"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_job_counts_variants_and_tells_figures(shop: Shop, match_jobs: MatchJobs, dry_run: bool) -> None:
    """A dry run tells the same figures as a run, with a sample, and writes nothing but its own row."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "c"), Product(4, "d")],
        [Variant(11, "a"), Variant(12, "b"), Variant(13, "c"), Variant(14, "c"), Variant(15)],
    )
    await shop.match()
    await shop.put([Product(1, is_deleted=True)], [Variant(12, "d")])
    before = await fetch_all(shop.database, ["product_mappings", "match_conflicts"])
    job = await match_jobs.run(JobType.MATCH_PRODUCTS, **({"dry_run": True} if dry_run else {}))
    assert (job.processed, job.created, job.updated, job.skipped, job.failed) == (5, 0, 2, 3, 0)
    figures = {"mapped": 1, "excluded": 0, "ambiguous": 2, "unmatched": 2, "retired": 2, "repaired": 0, "conflicts": 1}
    assert figures.items() <= dict(job.metadata).items()
    after = await fetch_all(shop.database, ["product_mappings", "match_conflicts"])
    assert (after == before) is dry_run
    if dry_run:
        sample = job.metadata["sample"]
        assert sample["matched"] == [
            {"variant_id": 12, "sku": "d", "nhanh_id": 4, "nhanh_code": "d", "source": "sku", "reason": None}
        ]
        assert [row["variant_id"] for row in sample["retired"]] == [11, 12]
        assert sample["ambiguous"] == [{"kind": "sku", "key": "c", "nhanh_ids": [3], "shopify_ids": [13, 14]}]
        assert [(row["variant_id"], row["reason"]) for row in sample["unmatched"]] == [(11, None), (15, None)]


async def test_run_after_the_commit_counts_nothing_twice(shop: Shop, match_jobs: MatchJobs) -> None:
    """A daemon that dies between the commit of the match and the end of the job leaves exact counters."""
    await shop.put([Product(1, "a")], [Variant(11, "a"), Variant(12)])
    job = await match_jobs.submit(JobType.MATCH_PRODUCTS)
    runner = match_jobs.runner()

    async def die(*_arguments: object) -> None:
        raise asyncpg.ConnectionDoesNotExistError("on purpose")

    runner._finish = die  # type: ignore[method-assign]
    await runner.run(job.id, WorkerName("first"))
    assert (await match_jobs.jobs.get(job.id)).processed == 2
    await match_jobs.runner().run(job.id, WorkerName("second"))
    job = await match_jobs.jobs.get(job.id)
    assert (job.status, job.total, job.processed, job.created) == (JobStatus.COMPLETED, 2, 2, 1)


async def test_stopping_takes_a_running_match_back(shop: Shop, match_jobs: MatchJobs) -> None:
    """A match that is cancelled while it waits or works ends at once, and leaves nothing."""
    await shop.put([Product(1, "a")], [Variant(11, "a")])
    job = await match_jobs.submit(JobType.MATCH_PRODUCTS)
    runner = match_jobs.runner()
    async with shop.database.acquire() as connection, connection.transaction():
        await DECISIONS.lock(connection, STORE)
        run = asyncio.create_task(runner.run(job.id, WorkerName("test")))
        await until_waiting(connection)
        runner.active[job.id].stop(StopReason.CANCELLED)
        await run
    assert (await match_jobs.jobs.get(job.id)).status is JobStatus.CANCELLED
    assert await shop.mapped() == []


async def until_waiting(connection: Connection) -> None:
    """Until somebody waits for an advisory lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(10):
        while not await connection.fetchval(waiting):
            await asyncio.sleep(0.01)


async def test_deciding_waits_for_a_running_match(shop: Shop) -> None:
    """A decision made while products are being matched holds after both, without deadlock or broken indexes."""
    await shop.put([Product(1, "a"), Product(2, "b")], [Variant(11, "a"), Variant(12, "b")])
    async with shop.database.acquire() as connection:
        async with connection.transaction():
            await match_in(connection, matching_of(STORE))
            deciding = asyncio.create_task(shop.decide((12, 1)))
            await until_waiting(connection)
        outcome = await deciding
    assert [freed.variant_id for freed in outcome.overruled] == [11]
    assert await shop.mapped() == [(12, 1, "manual")]


async def test_many_decisions_and_matches_at_once(shop: Shop) -> None:
    """Whatever the order in which decisions and matches come, none fails, and decisions hold."""
    await shop.put([Product(n, f"k{n}") for n in range(1, 9)], [Variant(10 + n, f"k{n}") for n in range(1, 9)])
    async with asyncio.TaskGroup() as tasks:
        for number in range(1, 9):
            tasks.create_task(shop.decide((10 + number, 9 - number)))
            tasks.create_task(shop.match())
    assert await shop.mapped() == [(10 + n, 9 - n, "manual") for n in range(1, 9)]


async def test_deciding_says_when_matching_takes_too_long(shop: Shop) -> None:
    """A person who waits in vain for a match is told to try again."""
    await shop.put([Product(1)], [Variant(11)])
    async with shop.database.acquire() as holder, shop.database.acquire() as connection, holder.transaction():
        await DECISIONS.lock(holder, STORE)
        await connection.execute("SET lock_timeout = 50")
        with pytest.raises(DatabaseUnavailable, match="try again in a minute"):
            await set_manual(connection, STORE, [(11, 1)], None)
        with pytest.raises(DatabaseUnavailable, match="try again in a minute"):
            await DECISIONS.take_back(connection, STORE, [11])


async def test_list_shows_each_variant_in_its_state(shop: Shop) -> None:
    """Every variant that is there is listed once, with its product or with why it has none."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "b"), Product(4, "d")],
        [
            Variant(11, "A"),
            Variant(12, "b"),
            Variant(13),
            Variant(14, "z"),
            Variant(15),
            Variant(16, "d"),
            Variant(17, "d"),
        ],
    )
    await shop.decide((15, None), note="quà tặng")
    await shop.match()
    listed = await shop.listed()
    assert [(row.variant_id, row.state, row.nhanh_id, row.candidates) for row in listed] == [
        (11, MappingState.MAPPED, 1, []),
        (12, MappingState.AMBIGUOUS, None, [2, 3]),
        (13, MappingState.UNMATCHED, None, []),
        (14, MappingState.UNMATCHED, None, []),
        (15, MappingState.EXCLUDED, None, []),
        (16, MappingState.AMBIGUOUS, None, [4]),
        (17, MappingState.AMBIGUOUS, None, [4]),
    ]
    assert listed[0].variant_title == "Áo 100 / Đỏ"
    assert (listed[0].nhanh_code, listed[0].nhanh_name, listed[0].inventory_item_id) == ("a", "Hàng 1", 1011)
    assert listed[1].reason == "SKU b belongs to 2 at Nhanh.vn and 1 at Shopify"
    assert listed[2].reason == "the variant has neither SKU nor barcode"
    for state in (MappingState.MAPPED, MappingState.EXCLUDED, MappingState.AMBIGUOUS, MappingState.UNMATCHED):
        assert await shop.listed(state) == [row for row in listed if row.state is state]
    assert await shop.listed(MappingState.RETIRED) == []


async def test_list_shows_what_was_retired(shop: Shop) -> None:
    """Variants that lost their product, gone ones too, are listed with the last mapping and why it ended."""
    await shop.put(
        [Product(1, "a"), Product(2, "b"), Product(3, "c")], [Variant(11, "a"), Variant(12, "b"), Variant(13, "c")]
    )
    await shop.match()
    await shop.put([Product(1, is_deleted=True)], [Variant(12, "b", is_deleted=True), Variant(13)])
    await shop.match()
    await shop.decide((13, 3))
    retired = await shop.listed(MappingState.RETIRED)
    assert [(row.variant_id, row.nhanh_id, row.reason) for row in retired] == [
        (11, 1, "product 1 was deleted at Nhanh.vn"),
        (12, 2, "variant 12 was deleted at Shopify"),
    ]
    assert all(row.changed_at is not None for row in retired)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ao-", [11, 12]), ("AO-1 ", [11]), ("o - 2", [12]), ("hàng 9002", [12]), ("HANG 90", [12]), ("hàng", [11, 12]),
        ("Áo 100", [11, 12, 13]), ("áo 100 / đ", [11, 12, 13]), ("ao 100", [11, 12, 13]),
        ("A\u0301O 100", [11, 12, 13]),
        ("do", [11, 12, 13]), ("ĐỎ", [11, 12, 13]), ("dồ", [11, 12, 13]), ("\u202ado\u202c", [11, 12, 13]),
        ("36000", [12]), ("n/a", [13]), ("khong co", [13]),
        ("13", [13]), ("id13", []), ("2", [12]), ("9002", [12]), ("1013", [13]), ("100", [11, 12, 13]),
        ("gid://shopify/ProductVariant/13", [13]), ("100%", []), ("_", []), ("", [11, 12, 13]),
        ("\u200b", [11, 12, 13]),
    ],
)  # fmt: skip
async def test_list_is_searched(shop: Shop, search: str, found: list[int]) -> None:
    """By a part of a SKU, barcode or name, whatever its case and accents, or an id; wildcards are no wildcards."""
    await shop.put(
        [Product(1, "ao-1"), Product(9002, "ao-2")],
        [Variant(11, "AO-1"), Variant(12, "ao -2", "893 6000 2"), Variant(13, "N/A", "Không có")],
    )
    await shop.match()
    assert [row.variant_id for row in await shop.listed(search=search)] == found
    mapped = [row.variant_id for row in await shop.listed(MappingState.MAPPED, search=search)]
    assert mapped == [number for number in found if number != 13]


async def test_retired_mappings_are_searched_as_well(shop: Shop) -> None:
    """By what either side of the last mapping is called."""
    await shop.put([Product(1, "a"), Product(2, "b")], [Variant(11, "a"), Variant(12, "b")])
    await shop.match()
    await shop.put([Product(1, "a", is_deleted=True)], [Variant(12, "b", is_deleted=True)])
    await shop.match()
    for search, found in (("hang 1", [11]), ("DO", [11, 12]), ("2", [12]), ("11", [11]), (None, [11, 12])):
        assert [row.variant_id for row in await shop.listed(MappingState.RETIRED, search)] == found


async def test_everything_that_nobody_sees_is_ignored_by_a_search(shop: Shop) -> None:
    """The database drops the characters that the program drops."""
    invisible = [char for char in map(chr, range(1, 0x110000)) if re.match(f"[{INVISIBLE}]", char)]
    async with shop.database.acquire() as connection:
        assert await connection.fetchval("SELECT dongbo.folded($1)", f"Áo{''.join(invisible)} DÀI\u00a0ĐỎ") == "aodaido"


async def test_list_is_paged(shop: Shop) -> None:
    """The last variant id of a page leads to the next."""
    await shop.put(variants=[Variant(number) for number in range(11, 21)])
    async with shop.database.acquire() as connection:
        seen: list[int] = []
        while page := await list_mappings(
            connection, STORE, state=None, search=None, after=seen[-1] if seen else 0, limit=3
        ):
            seen += [row.variant_id for row in page]
    assert seen == list(range(11, 21))


async def test_texts_are_resolved_to_variants_and_products(shop: Shop) -> None:
    """An id, a gid or a SKU names what people mean; digits that may be both say so by giving both."""
    await shop.put(
        [Product(1, "a"), Product(2, "1"), Product(3, "a", is_deleted=True)],
        [Variant(11, "a"), Variant(12, "A"), Variant(13, "11"), Variant(14, is_deleted=True)],
    )
    async with shop.database.acquire() as connection:

        async def variants(text: str) -> list[int]:
            return [choice.variant_id for choice in await resolve_variant(connection, STORE, text)]

        async def products(text: str) -> list[int]:
            return [choice.nhanh_id for choice in await resolve_product(connection, STORE, text)]

        assert await variants(" a ") == [11, 12]
        assert await variants("gid://shopify/ProductVariant/12") == [12]
        assert await variants("11") == [11, 13]
        assert (await variants("id:11"), await variants("sku:11")) == ([11], [13])
        assert (await variants("14"), await variants(""), await variants("9" * 30)) == ([14], [], [])
        assert (await products("a"), await products("1"), await products("3")) == ([1], [1, 2], [3])


# All rules at once, against a small model.


@dataclass(frozen=True)
class Known:
    """A row of `product_mappings` before the run."""

    variant_id: int
    nhanh_id: int | None
    source: str
    returns: bool


@dataclass(frozen=True)
class World:
    """Everything that matching looks at."""

    products: list[Product]
    variants: list[Variant]
    known: list[Known]


KEYS = st.sampled_from([None, "a", "a", "b", "b", "c"])
STATUSES = st.sampled_from(["ACTIVE", "ACTIVE", "UNLISTED", "DRAFT", "ARCHIVED", "ARCHIVED"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Few keys and many rows of every kind, so that they meet."""
    products = [
        Product(number, draw(KEYS), draw(KEYS), is_deleted=state == "deleted", is_parent=state == "parent")
        for number in range(1, draw(st.integers(1, 6)))
        for state in [draw(st.sampled_from(["live", "live", "live", "deleted", "parent"]))]
    ]
    variants = [
        Variant(number, draw(KEYS), draw(KEYS), is_deleted=draw(st.booleans()), status=draw(STATUSES))
        for number in range(11, draw(st.integers(11, 20)))
    ]
    known, automatic = [], set()
    for variant in variants:
        source = draw(st.sampled_from(["none", "sku", "barcode", "manual"]))
        nhanh_id = draw(st.sampled_from([product.id for product in products])) if products else None
        if source == "manual":
            known.append(Known(variant.id, draw(st.sampled_from([nhanh_id, None])), source, returns=False))
        elif source != "none" and nhanh_id is not None and nhanh_id not in automatic:
            automatic.add(nhanh_id)
            known.append(Known(variant.id, nhanh_id, source, returns=False))
        known += [
            Known(variant.id, draw(st.sampled_from([nhanh_id, None])), "manual", returns=True)
            for _ in range(draw(st.sampled_from([0, 0, 1, 2])))
        ]
    return World(products, variants, known)


@dataclass
class Expected:
    """What the model says."""

    mapped: dict[int, tuple[int | None, str]]
    conflicts: list[tuple[str, str, list[int], list[int]]]
    created: int
    updated: int


def key(row: Product | Variant, kind: str) -> str | None:
    """The key of a kind."""
    if kind == "barcode":
        return row.barcode
    return row.code if isinstance(row, Product) else row.sku


def model(world: World) -> Expected:
    """The rules, one row at a time."""
    products = {row.id: row for row in world.products if not (row.is_deleted or row.is_parent)}
    variants = {row.id: row for row in world.variants if not row.is_deleted}
    gone = {row.id: row for row in world.variants if row.is_deleted}
    mapped = {row.variant_id: (row.nhanh_id, row.source) for row in world.known if not row.returns}
    before = dict(mapped)
    touched: set[int] = set()
    moved: set[int] = set()
    on_sale = {row.id for row in world.variants if row.status in ("ACTIVE", "UNLISTED")}

    def contenders(numbers: list[int]) -> list[int]:
        return [number for number in numbers if number in on_sale] or numbers

    def retire(variant: int) -> None:
        touched.add(variant)
        del mapped[variant]

    for variant, (product, source) in list(mapped.items()):
        if product is not None and product not in products:
            retire(variant)
        elif source != "manual" and variant in variants:
            assert product is not None
            if key(variants[variant], source) is None or key(variants[variant], source) != key(
                products[product], source
            ):
                retire(variant)
    common = set()
    for kind in ("sku", "barcode"):
        for value in "abc":
            left_side = [number for number, row in products.items() if key(row, kind) == value]
            right_side = contenders([number for number, row in variants.items() if key(row, kind) == value])
            if left_side and right_side and max(len(left_side), len(right_side)) > 3:
                common.add((kind, value))
    for variant, (product, source) in list(mapped.items()):
        if source != "manual" and (source, key(products[product or 0], source)) in common:
            retire(variant)
    for kind, value in common:
        for number, row in products.items():
            if key(row, kind) == value:
                products[number] = replace(row, **{"code" if kind == "sku" else kind: None})
        for number, live in variants.items():
            if key(live, kind) == value:
                variants[number] = replace(live, **{kind: None})
    for row in reversed(world.known):  # the latest comes first
        is_back = row.variant_id in variants and (row.nhanh_id is None or row.nhanh_id in products)
        if row.returns and is_back and mapped.get(row.variant_id, (0, ""))[1] != "manual":
            touched.add(row.variant_id)
            mapped[row.variant_id] = (row.nhanh_id, "manual")
    given = {product for product, source in mapped.values() if source == "manual" and product is not None}
    for variant, (product, source) in list(mapped.items()):
        if source != "manual" and product in given:
            retire(variant)
    for mover, kind in (("manual", "sku"), ("manual", "barcode"), ("sku", "sku"), ("barcode", "barcode")):
        claims: dict[str, list[int]] = {}
        for variant, (product, source) in mapped.items():
            if variant in gone and source == mover:
                left = key(gone[variant], kind)
                if left is not None and (mover == "manual" or key(products[product or 0], kind) == left):
                    claims.setdefault(left, []).append(variant)
        heirs = {left: [v for v in variants if v not in mapped and key(variants[v], kind) == left] for left in claims}
        for left, claimants in claims.items():
            if len(claimants) == 1 and len(contenders(heirs[left])) == 1:
                heir = contenders(heirs[left])[0]
                mapped[heir] = mapped.pop(claimants[0])
                moved.add(heir)
    for variant in [variant for variant in mapped if variant in gone]:
        retire(variant)
    decided = {variant for variant, (_, source) in mapped.items() if source == "manual"}
    given = {product for product, source in mapped.values() if source == "manual" and product is not None}
    free_variants = {number: row for number, row in variants.items() if number not in decided}
    free_products = {number: row for number, row in products.items() if number not in given}
    set_aside = {variant: mapped.pop(variant) for variant in list(mapped) if variant in free_variants.keys() - on_sale}
    contested: set[int] = set()
    shared = {}
    for phase in (True, False):
        if not phase:
            waiting = [row for number, row in free_variants.items() if number in on_sale - mapped.keys()]
            for product, row in free_products.items():
                for kind in ("sku", "barcode"):
                    if key(row, kind) is not None and key(row, kind) in [key(other, kind) for other in waiting]:
                        contested.add(product)
            for variant, (product, source) in set_aside.items():
                if product in {taken for taken, _ in mapped.values()} | contested:
                    touched.add(variant)
                else:
                    mapped[variant] = (product, source)
        for kind in ("sku", "barcode"):
            for value in "abc":
                left_side = [number for number, row in free_products.items() if key(row, kind) == value]
                right_side = contenders([number for number, row in free_variants.items() if key(row, kind) == value])
                if len(left_side) == 1 and len(right_side) == 1:
                    taken = {product for product, _ in mapped.values()} | contested
                    is_its_turn = (right_side[0] in on_sale) is phase
                    if is_its_turn and right_side[0] not in mapped and left_side[0] not in taken:
                        mapped[right_side[0]] = (left_side[0], kind)
                        touched.add(right_side[0])
                elif left_side and right_side:
                    shared[kind, value] = (left_side, right_side)
    owner = dict(mapped.values())
    conflicts = []
    for (kind, value), (left_side, right_side) in shared.items():
        left_sources = [owner.get(product) for product in left_side]
        right_sources = [mapped.get(variant, (0, None))[1] for variant in right_side]
        is_open = all(any(source in (None, kind) for source in side) for side in (left_sources, right_sources))
        if is_open and None in left_sources + right_sources:
            conflicts.append((kind, value, left_side, right_side))
    changed = (touched | moved) & variants.keys()
    created = {number for number in changed - moved if number not in before and mapped[number][1] != "manual"}
    return Expected(mapped, conflicts, len(created), len(changed) - len(created))


async def arrange(connection: Connection, world: World) -> None:
    """Make the database the world's."""
    await connection.execute(
        "TRUNCATE dongbo.nhanh_products, dongbo.shopify_products, dongbo.shopify_variants, dongbo.product_mappings, "
        "dongbo.match_conflicts RESTART IDENTITY"
    )
    await put_products(connection, world.products)
    await put_variants(connection, world.variants)
    await connection.executemany(
        """INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source, returns, retired_at)
        VALUES ('main', $1, $2, $3, $4, CASE WHEN $4 THEN now() END)""",
        [(row.variant_id, row.nhanh_id, row.source, row.returns) for row in world.known],
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
async def test_sets_decide_as_the_rules_row_by_row(shop: Shop, world: World) -> None:
    """For any mirrors and mappings the result is the model's, and a second run changes nothing."""
    async with shop.database.acquire() as connection:
        await arrange(connection, world)
    expected = model(world)
    with in_batches_of(1):
        outcome = await shop.match()
    live = sum(not variant.is_deleted for variant in world.variants)
    assert {variant: (product, source) for variant, product, source in await shop.mapped()} == expected.mapped
    assert await shop.conflicts() == sorted(expected.conflicts, key=lambda row: (row[0] != "sku", row[1]))
    assert outcome.counters.processed == live
    assert (outcome.counters.created, outcome.counters.updated) == (expected.created, expected.updated)
    before = await fetch_all(shop.database, ["product_mappings", "match_conflicts"])
    again = await shop.match()
    assert again.counters == Counters(skipped=live)
    assert await fetch_all(shop.database, ["product_mappings", "match_conflicts"]) == before
    listed = await shop.listed()
    for name in ("mapped", "excluded", "ambiguous", "unmatched"):
        assert sum(row.state == name for row in listed) == again.figures[name]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
async def test_matching_never_changes_a_decision_whose_rows_are_there(shop: Shop, world: World) -> None:
    """A live manual mapping of rows that are there is the same row after matching."""
    async with shop.database.acquire() as connection:
        await arrange(connection, world)
        manual = """
        SELECT mapping.ctid, mapping.* FROM dongbo.product_mappings AS mapping
        WHERE source = 'manual' AND retired_at IS NULL AND NOT returns
          AND variant_id IN (SELECT id FROM dongbo.shopify_variants WHERE deleted_at IS NULL)
          AND (nhanh_id IS NULL OR nhanh_id IN (
              SELECT id FROM dongbo.nhanh_products WHERE deleted_at IS NULL AND parent_id IS NULL
          ))
        """
        before = {tuple(row) for row in await connection.fetch(manual)}
        await shop.match()
        assert before <= {tuple(row) for row in await connection.fetch(manual)}


async def test_nothing_is_matched_before_everything_was_pulled(database: Database) -> None:
    """What looks unique in half a mirror need not be: the job says which pulls it waits for."""
    jobs = MatchJobs(database)
    job = await jobs.jobs.submit(JobRequest(JobType.MATCH_PRODUCTS, STORE, JobTrigger.API))
    await jobs.runner().run(job.id, WorkerName("test"))
    ended = await jobs.jobs.get(job.id)
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert "Let PULL_NHANH_PRODUCTS and PULL_SHOPIFY_PRODUCTS complete once" in ended.error


async def test_a_match_leaves_no_dead_rows_in_the_catalogue(database: Database) -> None:
    """Its tables stay with the connection, empty, also after a match that failed: a year of matches bloats nothing."""
    async with database.acquire() as connection:
        await put_products(connection, [Product(1, "A")])
        await put_variants(connection, [Variant(11, sku="A")])
        tables = []
        for fails in (False, True, False):
            with suppress(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await match_in(connection, matching_of(STORE))
                    await match_in(connection, matching_of_customers(STORE))
                    if fails:
                        await connection.execute("SELECT 1 / 0")
            tables.append([tuple(row) for row in await connection.fetch(WORKING_TABLES)])
        assert tables[0] == tables[1] == tables[2] != []
        for name, _number in tables[0]:
            assert await connection.fetchval(f"SELECT count(*) FROM pg_temp.{name}") == 0
