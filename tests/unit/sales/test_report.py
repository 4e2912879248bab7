"""What a campaign's report counts and how it is written: lateness, counts, JSON, CSV."""

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.api.sales import (
    CampaignState,
    Edge,
    ItemState,
    Lateness,
    ReportCounts,
    SaleEvent,
    SaleItem,
    SaleReport,
    Times,
)
from daemon.config import SaleSettings
from daemon.ids import CampaignId, SaleName, StoreName
from daemon.money import amount_text
from daemon.sales import report
from daemon.sales.export import FORMULA_STARTS, PORTION, csv_of, json_with_rows, portions
from daemon.sales.model import Campaign, Item
from daemon.sales.records import item_of, lateness_of
from daemon.sales.report import ItemTally
from daemon.sources.shopify.models import PricePair

START = datetime(2027, 1, 28, 13, tzinfo=UTC)
END = START + timedelta(days=2)
NOBODY = CampaignId(UUID(int=0))


def moment(seconds: float, after: datetime = START) -> datetime:
    return after + timedelta(seconds=seconds)


def campaign(starts_at: datetime | None = START, ends_at: datetime | None = END) -> Campaign:
    definition = SaleSettings.model_validate({"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}})
    return Campaign(
        id=NOBODY,
        store=StoreName("main"),
        name=SaleName("tet"),
        origin="api",
        state=CampaignState.COMPLETED,
        definition=definition,
        starts_at=starts_at,
        ends_at=ends_at,
        is_cancelled=False,
        notice=None,
        variants=1,
        prepared_at=None,
        started_at=starts_at,
        ended_at=ends_at,
        closed_at=None,
        created_at=START,
        changed_at=START,
    )


def item(number: int, state: ItemState = ItemState.REVERTED, **changes: Any) -> SaleItem:
    values: dict[str, Any] = {
        "variant_id": number,
        "product_id": 1,
        "sku": f"AO-{number}",
        "title": "Áo",
        "state": state,
        "before": PricePair(Decimal("100000.0000"), None),
        "base": PricePair(Decimal("100000.5000"), Decimal("0.0000")),
        "sale": PricePair(Decimal("80000.0000"), Decimal("100000.0000")),
        "found": None,
        "decision": None,
        "note": None,
        "applied_at": moment(number),
        "closed_at": moment(number, END),
        "verified_at": None,
    }
    return item_of(Item(**values | changes))


def count(items: Sequence[SaleItem]) -> ReportCounts:
    tally = ItemTally()
    for one in items:
        tally.add([one])
    return tally.counts()


async def written(items: Sequence[SaleItem], write: Any) -> bytes:
    """What a writer of reports makes of a report with these variants."""
    file, shown = io.BytesIO(), a_report(items)
    await write(shown, portions(items), file)
    return file.getvalue()


def a_report(items: Sequence[SaleItem]) -> SaleReport:
    edge = Edge(START, START, START, START, 0.0, 0.0)
    return SaleReport(
        id=NOBODY,
        store="main",
        name="tet",
        origin="api",
        state=CampaignState.COMPLETED,
        notice=None,
        is_cancelled=False,
        definition={"name": "tet"},
        made_at=END,
        closed_at=END,
        start=edge,
        end=edge,
        last_verified=None,
        counts=count(items),
        events=[SaleEvent(CampaignState.DRAFT, "created (api)", START)],
        items=items,
    )


def test_lateness_is_actual_minus_planned() -> None:
    """Of the first and the last variant, at both ends; what a person did earlier is negative."""
    times = Times(moment(0.75), moment(90), moment(-3600, END), moment(1.5, END), None)
    assert lateness_of(campaign(), times) == Lateness(0.75, 90.0, -3600.0, 1.5)


def test_lateness_is_unknown_where_nothing_was_planned_or_done() -> None:
    """Not 0, which would say that all was well."""
    done = Times(moment(1), moment(2), moment(1, END), moment(2, END), None)
    assert lateness_of(campaign(ends_at=None), done) == Lateness(1.0, 2.0, None, None)
    assert lateness_of(campaign(), Times(None, None, None, None, None)) == Lateness(None, None, None, None)


def test_each_variant_is_counted_once_by_its_state() -> None:
    """The parts sum up to all; only what is restored can be verified."""
    items = [item(number, state) for number, state in enumerate(ItemState, 1)]
    items += [
        item(50, ItemState.REVERTED, verified_at=END),
        item(51, ItemState.KEPT, verified_at=END),
        item(52, ItemState.SKIPPED, applied_at=None),
        item(53, ItemState.REVERTED, found=PricePair(Decimal(77_000), None)),
    ]
    counts = count(items)
    parts = ("planned", "on_sale", "restored", "kept", "drifted", "gone", "skipped", "refused", "stuck")
    assert sum(getattr(counts, part) for part in parts) == counts.variants == len(items)
    assert (counts.restored, counts.kept, counts.skipped, counts.on_sale) == (3, 2, 2, 3)
    assert (counts.verified, counts.put_on_sale, counts.changed_by_others) == (1, len(items) - 1, 1)


def test_money_is_text_without_needless_zeros() -> None:
    """As the journal's four decimal places would bring them."""
    shown = item(1)
    assert (shown.before_price, shown.before_compare_at_price) == ("100000", None)
    assert (shown.base_price, shown.base_compare_at_price) == ("100000.5", "0")


@given(st.decimals(0, 10**12, places=4))
def test_money_as_text_is_the_same_money(amount: Decimal) -> None:
    """Whatever the amount, and never with an exponent."""
    text = amount_text(amount)
    assert Decimal(text) == amount
    assert set(text) <= set("0123456789.")
    assert "." not in text or text[-1] not in ".0"


@pytest.mark.parametrize("rows", [0, 1, PORTION, PORTION + 1, 3 * PORTION])
async def test_a_report_in_json_holds_every_variant(rows: int) -> None:
    """However many portions it is encoded in; one without variants is JSON, too."""
    shown = orjson.loads(await written([item(number) for number in range(1, rows + 1)], report.write_json))
    assert [one["variant_id"] for one in shown["items"]] == list(range(1, rows + 1))
    assert shown["counts"]["variants"] == rows
    assert shown["start"]["planned"] == "2027-01-28T13:00:00+00:00"
    assert shown["events"][0]["detail"] == "created (api)"


async def test_a_report_in_csv_has_planned_beside_actual_times() -> None:
    """One line for each variant, under the names that the JSON has."""
    content = (await written([item(1), item(2, note="-1+1", sku=None)], report.write_csv)).decode()
    first, second = csv.DictReader(io.StringIO(content, newline=""))
    assert first["planned_start"] == "2027-01-28T13:00:00+00:00"
    assert first["applied_at"] == "2027-01-28T13:00:01+00:00"
    assert (first["sale_price"], first["sku"], first["state"]) == ("80000", "AO-1", "REVERTED")
    assert (second["note"], second["sku"], second["verified_at"]) == ("'-1+1", "", "")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXTS, st.sampled_from(FORMULA_STARTS), st.booleans()), max_size=5))
def test_no_cell_is_a_formula_and_no_text_is_lost(rows: list[tuple[str, str, bool]]) -> None:
    """Whatever the texts hold: quotes, line breaks, commas."""
    table = [(start + text, text, flag) for text, start, flag in rows]
    content = asyncio.run(csv_of(("a", "b", "c"), table, lambda row: row)).decode()
    read = list(csv.reader(io.StringIO(content, newline="")))
    assert read[0] == ["a", "b", "c"]
    for (dangerous, text, flag), cells in zip(table, read[1:], strict=True):
        assert cells[0] == f"'{dangerous}"
        assert cells[1] in (text, f"'{text}")
        assert not cells[1].startswith(FORMULA_STARTS)
        assert cells[2] == ("true" if flag else "false")


async def test_the_loop_turns_between_two_portions() -> None:
    """A long list does not keep everything else from running."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(count_turns(), name="ticker")
    for encode in (
        json_with_rows({}, "rows", range(20 * PORTION), lambda number: number),
        csv_of(("number",), range(20 * PORTION), lambda number: (number,)),
    ):
        turns = 0
        await encode
        assert turns >= 19
    ticker.cancel()
    await asyncio.gather(ticker, return_exceptions=True)
