"""What a sale campaign may say, in the file and to the API; and in which words the rest is refused."""

import tomllib
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from daemon.config import SaleSelection, SaleSettings, SaleTargets, Settings, changed_parts, json_schema, parse_settings
from daemon.config.sales import LARGEST_AMOUNT, LONGEST_WORD, MOST_TARGETS, read_skus
from daemon.errors import ConfigError
from daemon.schedules.cron import instant_of

EXAMPLE = Path(__file__).parents[3] / "config" / "dongbo.toml"

STORES = """\
[stores.main.shopify]
shop = "my-shop"
access_token = { env = "SHOPIFY_TOKEN" }
[stores.pos.nhanh]
app_id = 1
business_id = 2
access_token = { env = "NHANH_TOKEN" }
"""
SALE = """\
[[sales]]
name = "tet"
store = "main"
percent = 20
targets = { all = true }
"""
LEAST: dict[str, Any] = {"name": "tet", "store": "main", "percent": 20, "targets": {"all": True}}

HO_CHI_MINH, BERLIN, NEW_YORK = (ZoneInfo(n) for n in ("Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York"))
ZONES = (HO_CHI_MINH, BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia"), ZoneInfo("UTC"))
LISTS = ("products", "collections", "product_types", "vendors", "tags", "skus")

CHANGES = [  # of the clocks, in the zones above
    datetime.fromisoformat(text)
    for text in ("2027-03-28T02:00", "2027-10-31T02:00", "2027-03-14T02:00", "2027-11-07T01:00", "2011-12-30T12:00")
]
naive_times = st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30)).map(  # noqa: DTZ001 - the shop's
    lambda moment: moment.replace(microsecond=0)
) | st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-7200, 7200),
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = naive_times | st.builds(lambda moment, offset: moment.replace(tzinfo=offset), naive_times, offsets)
amounts = st.decimals(Decimal("0.01"), LARGEST_AMOUNT, places=2)
words = st.lists(st.text(min_size=1, max_size=8), max_size=3)
selections = st.fixed_dictionaries(
    {},
    optional={
        "products": st.lists(st.integers(1, 2**63 - 1), max_size=3),
        "skus_file": st.text(min_size=1, max_size=8),
        **dict.fromkeys(("collections", "product_types", "vendors", "tags", "skus"), words),
    },
)


def sale(**keys: Any) -> SaleSettings:
    """The least that a campaign says, and more; None takes a key away."""
    return SaleSettings.model_validate({key: value for key, value in (LEAST | keys).items() if value is not None})


def problems(text: str) -> list[str]:
    """What is said about a file called `x`, without its name."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, source="x")
    assert all(problem.startswith("x:") and "\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix("x:") for problem in caught.value.problems]


def only_problem(text: str) -> str:
    """The one thing that is said."""
    (problem,) = problems(text)
    return problem


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Any campaign that may be said, as a request to the API has it."""
    document = dict(LEAST)
    if draw(st.booleans()):
        del document["percent"]
        document["amount"] = str(draw(amounts))
    else:
        document["percent"] = str(draw(st.decimals(Decimal("0.01"), Decimal("99.99"), places=2)))
    round_to = draw(amounts)
    lists = draw(selections)
    document["targets"] = lists if any(lists.values()) else {"all": True}
    ending = st.integers(0, int(round_to * 100) - 1).map(lambda cents: str(Decimal(cents) / 100))
    optional = {
        "discount_from": st.sampled_from(["compare_at_price", "price"]),
        "ending": ending,
        "floor": amounts.map(str),
        "newcomers": st.sampled_from(["join", "ignore"]),
        "excludes": selections,
    }
    document |= draw(st.fixed_dictionaries({"round_to": st.just(str(round_to))}, optional=optional))
    offset = draw(st.none() | offsets)
    moments = sorted(draw(st.sets(naive_times, min_size=2, max_size=2)))
    for key, moment in zip(("starts", "ends"), moments, strict=True):
        if draw(st.booleans()):
            document[key] = moment.replace(tzinfo=offset).isoformat()
    return document


class TestMeaning:
    """What a campaign is taken to mean."""

    def test_the_least_that_it_says(self) -> None:
        """A name, a store, a discount and targets; it starts at once and ends when a person ends it."""
        campaign = sale()
        assert (campaign.percent, campaign.amount) == (Decimal(20), None)
        assert (campaign.starts, campaign.ends) == (None, None)
        assert (campaign.discount_from, campaign.newcomers) == ("compare_at_price", "join")
        assert (campaign.round_to, campaign.ending, campaign.floor) == (Decimal(1), None, None)
        assert campaign.targets.all
        assert campaign.excludes.is_empty

    def test_every_key_in_the_file(self) -> None:
        """TOML's own types are understood, in tables written either way."""
        text = """
        [[sales]]
        name = "tet"
        store = "main"
        amount = 50_000
        discount_from = "price"
        round_to = 1000
        ending = 900
        floor = 19_900.5
        starts = 2027-01-28T20:00:00
        ends = 2027-02-10T00:00:00+07:00
        newcomers = "ignore"
        [sales.targets]
        products = [7]
        collections = ["tet-2027"]
        product_types = ["Áo dài"]
        vendors = ["Dongbo"]
        tags = ["sale"]
        skus = ["A-1"]
        skus_file = "skus.txt"
        [sales.excludes]
        tags = ["never"]
        """
        (campaign,) = parse_settings(STORES + text, source="x").sales
        assert campaign == SaleSettings(
            name=campaign.name,
            store=campaign.store,
            amount=Decimal(50_000),
            discount_from="price",
            round_to=Decimal(1000),
            ending=Decimal(900),
            floor=Decimal("19900.5"),
            starts=datetime(2027, 1, 28, 20),  # noqa: DTZ001 - the shop's
            ends=datetime(2027, 2, 9, 17, tzinfo=UTC),
            newcomers="ignore",
            targets=SaleTargets(
                products=(7,),
                collections=("tet-2027",),
                product_types=("Áo dài",),
                vendors=("Dongbo",),
                tags=("sale",),
                skus=("A-1",),
                skus_file="skus.txt",
            ),
            excludes=SaleSelection(tags=("never",)),
        )
        assert campaign.model_fields_set == set(SaleSettings.model_fields) - {"percent"}
        assert campaign.targets.model_fields_set == set(SaleSelection.model_fields)

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            (20, "20"),
            (12.5, "12.5"),
            (0.01, "0.01"),
            ("20", "20"),
            (" 12.50 ", "12.5"),
            ("1e1", "10"),
            (Decimal("1E+1"), "10"),
            ("1." + "0" * 400, "1"),
        ],
    )
    def test_amounts_are_exact_decimals(self, written: object, meant: str) -> None:
        """Numbers and texts alike, never by way of binary fractions, and without exponents, as Shopify has them."""
        percent = sale(percent=written).percent
        assert type(percent) is Decimal
        assert str(percent) == meant

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2027-01-28T20:00:00", datetime(2027, 1, 28, 20)),  # noqa: DTZ001 - the shop's
            ("2027-01-28 20:00", datetime(2027, 1, 28, 20)),  # noqa: DTZ001 - the shop's
            (" 2027-01-28T20:00:00Z ", datetime(2027, 1, 28, 20, tzinfo=UTC)),
            ("2027-01-28T20:00:00+07:00", datetime(2027, 1, 28, 13, tzinfo=UTC)),
        ],
    )
    def test_times_in_json(self, text: str, moment: datetime) -> None:
        """JSON has its times in text; without an offset they are the shop's, as in the file."""
        starts = sale(starts=text).starts
        assert starts == moment
        assert starts is not None
        assert (starts.tzinfo is None) == (moment.tzinfo is None)

    @given(documents())
    def test_comes_back_from_json_as_it_was(self, document: dict[str, Any]) -> None:
        """What the database keeps is what was said: nothing is lost, rounded or shifted on the way there and back."""
        campaign = SaleSettings.model_validate(document)
        assert SaleSettings.model_validate(orjson.loads(orjson.dumps(campaign.to_json()))) == campaign
        assert str(campaign.round_to) == f"{campaign.round_to:f}"
        try:
            in_utc = campaign.in_zone(BERLIN)
        except ValueError:  # both times in a gap, or a year that begins elsewhere
            return
        back = SaleSettings.model_validate(orjson.loads(orjson.dumps(in_utc.to_json())))
        assert back == in_utc
        assert back.in_zone(HO_CHI_MINH) == in_utc

    def test_json_says_only_what_was_chosen(self) -> None:
        """Defaults may change with the program without a stored campaign saying otherwise."""
        assert sale().to_json() == {"name": "tet", "store": "main", "percent": "20", "targets": {"all": True}}

    @pytest.mark.parametrize("key", [*LISTS, "skus_file"])
    def test_any_list_is_a_selection(self, key: str) -> None:
        """One entry of one list is enough, as a target and as an exclusion."""
        entry: Any = {"products": [1], "skus_file": "x.txt"}.get(key, ["x"])
        campaign = sale(targets={key: entry}, excludes={key: entry})
        assert not campaign.targets.is_empty
        assert not campaign.excludes.is_empty

    def test_the_same_name_in_two_stores(self) -> None:
        """A chain's shops may each have their own campaign of a name."""
        text = STORES.replace("pos.nhanh", "pos.shopify").replace("app_id = 1\nbusiness_id = 2", 'shop = "b"')
        settings = parse_settings(text + SALE + SALE.replace('"main"', '"pos"'), source="x")
        assert [campaign.store for campaign in settings.sales] == ["main", "pos"]

    def test_a_reload_takes_them_over(self) -> None:
        """Changed campaigns need no restart."""
        before, after = (parse_settings(STORES + SALE.replace("20", n), source="x") for n in ("20", "30"))
        assert before.sales != after.sales
        assert changed_parts(before, after).restart_required == ()


class TestZones:
    """From the shop's clocks to UTC."""

    @pytest.mark.parametrize(
        ("zone", "wall", "instant"),
        [
            (HO_CHI_MINH, "2027-01-28T20:00:00", "2027-01-28T13:00:00Z"),
            (BERLIN, "2027-03-28T01:59:59", "2027-03-28T00:59:59Z"),
            (BERLIN, "2027-03-28T02:00:00", "2027-03-28T01:00:00Z"),  # the clocks jump from 02:00 to 03:00
            (BERLIN, "2027-03-28T02:30:00", "2027-03-28T01:00:00Z"),
            (BERLIN, "2027-03-28T03:00:00", "2027-03-28T01:00:00Z"),
            (BERLIN, "2027-10-31T02:00:00", "2027-10-31T00:00:00Z"),  # 02:00 to 03:00 comes twice
            (BERLIN, "2027-10-31T02:30:00", "2027-10-31T00:30:00Z"),
            (BERLIN, "2027-10-31T03:00:00", "2027-10-31T02:00:00Z"),
            (NEW_YORK, "2027-03-14T02:30:00", "2027-03-14T07:00:00Z"),
            (NEW_YORK, "2027-11-07T01:30:00", "2027-11-07T05:30:00Z"),
            (NEW_YORK, "2027-11-07T02:00:00", "2027-11-07T07:00:00Z"),
        ],
    )
    def test_by_the_clocks_of_the_shop(self, zone: ZoneInfo, wall: str, instant: str) -> None:
        """A time in a gap is that of the jump, one that comes twice is the first; starts and ends alike."""
        expected = datetime.fromisoformat(instant)
        assert sale(starts=wall).in_zone(zone).starts == expected
        assert sale(ends=wall).in_zone(zone).ends == expected
        assert sale(starts=wall + "+00:00").in_zone(zone).starts == datetime.fromisoformat(wall + "Z")

    @given(times, st.sampled_from(ZONES))
    def test_always_a_time_in_utc(self, moment: datetime, zone: ZoneInfo) -> None:
        """Any time of any zone has one; one with an offset stays what it was, one on the clock is shown there again
        unless the clocks jump over it."""
        found = sale(starts=moment).in_zone(zone).starts
        assert found is not None
        assert found.tzinfo is UTC
        if moment.tzinfo is not None:
            assert found == moment
            return
        shown = found.astimezone(zone).replace(tzinfo=None)
        just_before = (found - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
        assert shown == moment or just_before < moment < shown

    @given(st.tuples(naive_times, naive_times), st.sampled_from(ZONES))
    def test_never_ends_before_it_begins(self, moments: tuple[datetime, datetime], zone: ZoneInfo) -> None:
        """Whatever two times are said, in UTC the end lies behind the start, or the campaign is refused."""
        starts, ends = moments
        if starts >= ends:
            with pytest.raises(ValueError, match="before it has begun"):
                sale(starts=starts, ends=ends)
            return
        campaign = sale(starts=starts, ends=ends)
        try:
            in_utc = campaign.in_zone(zone)
        except ValueError:  # the clocks jump over both
            assert instant_of(starts, zone) == instant_of(ends, zone)
        else:
            assert in_utc.starts is not None
            assert in_utc.ends is not None
            assert in_utc.starts < in_utc.ends

    @pytest.mark.parametrize(
        ("zone", "starts", "ends"),
        [
            (HO_CHI_MINH, "2027-01-28T20:00:00", "2027-01-28T12:59:59Z"),
            (HO_CHI_MINH, "2027-01-28T20:00:00", "2027-01-28T13:00:00Z"),
            (HO_CHI_MINH, "2027-01-28T13:00:00Z", "2027-01-28T20:00:00"),
            (BERLIN, "2027-03-28T02:10:00", "2027-03-28T02:50:00"),  # the clocks jump over all of it
            (NEW_YORK, "2027-03-14T02:00:00", "2027-03-14T03:00:00"),
        ],
    )
    def test_too_early_an_end_that_only_the_zone_shows(self, zone: ZoneInfo, starts: str, ends: str) -> None:
        """An end on the clock and a start with an offset can only be compared in the shop's zone."""
        campaign = sale(starts=starts, ends=ends)
        with pytest.raises(ValueError, match="it would end before it has begun: set ends later"):
            campaign.in_zone(zone)

    def test_a_year_that_begins_elsewhere(self) -> None:
        """What is stored in UTC can be read again: a time whose year only the zone shows as too early is refused."""
        with pytest.raises(ValueError, match="the year is not from 2000 to 2999"):
            sale(starts="2000-01-01T00:00:00").in_zone(HO_CHI_MINH)

    def test_a_campaign_of_one_second(self) -> None:
        """Short is not wrong."""
        campaign = sale(starts="2027-01-28T20:00:00", ends="2027-01-28T13:00:01Z").in_zone(HO_CHI_MINH)
        assert campaign.starts is not None
        assert campaign.ends == campaign.starts + timedelta(seconds=1)

    def test_the_hour_that_comes_twice_lasts_two(self) -> None:
        """From the first 02:00 to 03:00 two hours pass in the night of the change."""
        campaign = sale(starts="2027-10-31T02:00:00", ends="2027-10-31T03:00:00").in_zone(BERLIN)
        assert campaign.starts is not None
        assert campaign.ends == campaign.starts + timedelta(hours=2)


class TestProblems:
    """What is said about a wrong campaign: in which file, on which line, at which key."""

    @pytest.mark.parametrize("key", ["percent", "amount", "round_to", "ending", "floor"])
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("-1", "must be "),
            ("-0.01", "must be "),
            ("0.001", "has more than two decimal places"),
            ('"1e-400"', "has more than two decimal places"),
            ("1e13", "must be a number of at most 1,000,000,000,000"),
            pytest.param("0x" + "f" * 5000, "must be a number of at most 1,000,000,000,000", id="huge"),
            ("inf", "must be a number of at most"),
            ("nan", "must be a number of at most"),
            ('"snan"', "must be a number of at most"),
            ('"20 %"', "is not a number"),
            ('"50.000"', "can be read in two ways: write it without the dots"),
            ('"1.250.000"', "can be read in two ways: write it without the dots"),
            ('""', "is not a number"),
            ("true", "must be a number, not true or false"),
            ("[20]", "must be a number, not an array"),
            ("{}", "must be a number, not a table"),
            ("2027-01-28", "must be a number, not a date or time"),
        ],
    )
    def test_of_amounts(self, key: str, value: str, problem: str) -> None:
        """No amount is negative, endless, finer than cents, or no number at all."""
        text = STORES + SALE.replace("percent = 20\n", "") + f"{key} = {value}\n"
        text += "" if key in ("percent", "amount") else "percent = 20\n"
        assert only_problem(text).startswith(f"12: sales[0].{key}: {problem}")

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("percent = 0", "percent: must be more than 0, not 0"),
            ("percent = 100", "percent: must be less than 100, not 100"),
            ("percent = 100.0", "percent: must be less than 100, not 100"),
            ('percent = "150"', "percent: must be less than 100, not 150"),
            ("amount = 0", "amount: must be more than 0, not 0"),
        ],
    )
    def test_of_discounts(self, line: str, problem: str) -> None:
        """All of the price is no discount, and neither is nothing."""
        assert only_problem(STORES + SALE.replace("percent = 20", line)) == f"11: sales[0].{problem}"

    @pytest.mark.parametrize("line", ["", "percent = 20\namount = 5"])
    def test_of_the_one_discount(self, line: str) -> None:
        """Exactly one of percent and amount is said."""
        problem = only_problem(STORES + SALE.replace("percent = 20", line))
        assert problem == "8: sales[0]: say either percent or amount"

    @pytest.mark.parametrize(
        ("lines", "problem"),
        [
            ("round_to = 0", "13: sales[0].round_to: must be more than 0, not 0"),
            ("floor = 0", "13: sales[0].floor: must be more than 0, not 0"),
            ("ending = 900", "13: sales[0].ending: must be smaller than round_to (1 unless it is set)"),
            ("ending = 1000\nround_to = 1e3", "13: sales[0].ending: must be smaller than round_to"),
            ('discount_from = "prices"', '13: sales[0].discount_from: "prices" is unknown; did you mean "price"?'),
            ('newcomers = "no"', '13: sales[0].newcomers: "no" is unknown'),
            ("percentage = 20", '13: sales[0].percentage: unknown key; did you mean "percent"?'),
            ("start = 2027-01-28T20:00:00", '13: sales[0].start: unknown key; did you mean "starts"?'),
            ("all = true", "13: sales[0].all: unknown key"),
        ],
    )
    def test_of_other_keys(self, lines: str, problem: str) -> None:
        """Each is said at its key, with what would be right."""
        assert only_problem(STORES + SALE + lines).startswith(problem)

    @pytest.mark.parametrize("key", ["starts", "ends"])
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("2027-01-28", "write a date and time such as 2027-01-28T20:00:00"),
            ("20:00:00", "write a date and time such as"),
            ('"2027-01-28"', "write a date and time such as"),
            ('"20270128"', "write a date and time such as"),
            ('"tomorrow"', "is not understood: write a date and time"),
            ('"2027-02-29T20:00:00"', "is not understood"),
            ('""', "is not understood"),
            ("1801137600", "must be a date and time, not a whole number"),
            ("true", "must be a date and time, not true or false"),
            ("[2027-01-28T20:00:00]", "must be a date and time, not an array"),
            ("0001-01-01T00:00:00+07:00", "the year is not from 2000 to 2999"),
            ("9999-12-31T23:59:59-07:00", "the year is not from 2000 to 2999"),
            ('"1999-12-31T23:59:59"', "the year is not from 2000 to 2999"),
        ],
    )
    def test_of_times(self, key: str, value: str, problem: str) -> None:
        """A date alone would leave open when on that day, so it is refused, and so is what no calendar has."""
        assert only_problem(f"{STORES}{SALE}{key} = {value}").startswith(f"13: sales[0].{key}: {problem}")

    @pytest.mark.parametrize(
        ("starts", "ends"),
        [
            ("2027-01-28T20:00:00", "2027-01-28T20:00:00"),
            ("2027-01-28T20:00:00", "2027-01-28T19:59:59"),
            ("2027-01-28T20:00:00+07:00", "2027-01-28T14:00:00+01:00"),
            ("2027-01-28T20:00:00", "2027-01-28T13:00:00Z"),
            ("2027-01-28T13:00:00Z", "2027-01-28T20:00:00"),
            ('"2027-01-28T13:00:00Z"', '"2027-01-28T20:00:00"'),
        ],
    )
    def test_of_an_end_before_the_start(self, starts: str, ends: str) -> None:
        """A file with such a campaign is refused at the end's line, however the two are written."""
        problem = only_problem(f"{STORES}{SALE}starts = {starts}\nends = {ends}\n")
        assert problem.startswith("14: sales[0].ends: it would end ")
        assert problem.endswith("before it has begun: set ends later")

    def test_of_an_end_in_the_zone_of_the_file(self) -> None:
        """The file's zone decides, and one that does not exist is the only thing said."""
        text = f"{STORES}{SALE}starts = 2027-01-28T20:00:00\nends = 2027-01-28T20:00:00Z\n"
        assert parse_settings(text, source="x").sales
        assert only_problem('timezone = "America/New_York"\n' + text).startswith("15: sales[0].ends: it would end")
        assert only_problem('timezone = "Mars"\n' + text).startswith("1: timezone: ")

    @pytest.mark.parametrize(
        ("targets", "problem"),
        [
            ("", ": it names nothing: all = true, or products, collections"),
            ("all = false", ": it names nothing"),
            ("tags = []", ": it names nothing"),
            ('all = true, tags = ["a"]', ": all is everything already: leave out the other lists, or all"),
            ('all = true, skus_file = "a"', ": all is everything already"),
            ("all = 1", ".all: must be true or false, not a whole number"),
            ('tag = ["a"]', '.tag: unknown key; did you mean "tags"?'),
            ('tags = "a"', ".tags: must be an array, not text"),
            ('tags = [""]', ".tags[0]: must not be empty"),
            ("tags = [1]", ".tags[0]: must be text in quotes, not a whole number"),
            pytest.param(f'tags = ["{"x" * 256}"]', ".tags[0]: must be at most 255 characters long", id="long"),
            ("products = [0]", ".products[0]: must be at least 1, not 0"),
            ('products = [1, "2"]', ".products[1]: must be a whole number, not text"),
            ("products = [1.0]", ".products[0]: must be a whole number, not a number with a decimal point"),
            pytest.param(
                f"products = [{'1, ' * (MOST_TARGETS + 1)}]",
                ".products: has 10,001 entries, and may have 10,000",
                id="many",
            ),
            ('skus_file = ""', ".skus_file: must not be empty"),
            ("skus_file = []", ".skus_file: must be text in quotes, not an array"),
        ],
    )
    def test_of_targets(self, targets: str, problem: str) -> None:
        """What stands inside the targets is named with its whole path, in an inline table and in one of its own."""
        inline = SALE.replace("all = true", targets)
        assert only_problem(STORES + inline).startswith(f"12: sales[0].targets{problem}")
        own = SALE.replace("targets = { all = true }", "[sales.targets]\n" + targets.replace(", skus", "\nskus"))
        if ", tags" not in targets:
            line = 13 if problem.startswith((".", "[")) else 12
            assert only_problem(STORES + own).startswith(f"{line}: sales[0].targets{problem}")

    def test_of_excludes(self) -> None:
        """To exclude everything is no campaign, so `all` is not among the excludes."""
        problem = only_problem(STORES + SALE + "excludes = { all = true }")
        assert problem.startswith("13: sales[0].excludes.all: unknown key; known here: collections, product_types")

    @pytest.mark.parametrize("key", ["name", "store", "targets"])
    def test_of_a_missing_key(self, key: str) -> None:
        """A key that can't be left out is named with its meaning."""
        lines = [line for line in SALE.splitlines() if not line.startswith(key)]
        assert only_problem(STORES + "\n".join(lines)).startswith(f"8: sales[0].{key}: is missing: ")

    @pytest.mark.parametrize(
        ("sales", "problem"),
        [
            (SALE.replace('"tet"', '"Tết 2027"'), "9: sales[0].name: must be 1 to 63 of a-z"),
            (SALE.replace('"main"', '"mian"'), '10: sales[0].store: there is no store "mian" in this file'),
            (SALE.replace('"main"', '"pos"'), "10: sales[0].store: a sale needs Shopify: add a table [stores.pos.s"),
            (SALE + SALE, '14: sales[1].name: "tet" is the name of sales[0] already'),
            ("sales = 1", "8: stores.pos.nhanh.sales: unknown key"),
            ("[sales]\nname = 1", "8: sales: must be an array, not a table"),
        ],
    )
    def test_of_names(self, sales: str, problem: str) -> None:
        """A campaign's name is its own in its store, which is one of this file's with a Shopify."""
        assert only_problem(STORES + sales).startswith(problem)

    def test_all_at_once_in_the_order_of_the_file(self) -> None:
        """Whoever mends a file learns of all mistakes of all campaigns in one go."""
        text = STORES + SALE.replace("20", "100") + "ends = 2027-01-28\n" + SALE.replace("all", "al") + "ending = 5\n"
        found = [problem.partition(": ")[2].partition(": ")[0] for problem in problems(text)]
        assert found == [
            *("sales[0].percent", "sales[0].ends"),
            *("sales[1].name", "sales[1].targets.al", "sales[1].ending"),
        ]

    @given(
        st.sampled_from(sorted(SaleSettings.model_fields)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes()
            | st.dates() | st.times() | st.decimals(),
            lambda values: st.lists(values, max_size=3)
            | st.dictionaries(st.text(max_size=8) | st.sampled_from(LISTS), values, max_size=3),
        ),
    )  # fmt: skip
    def test_any_value_at_any_key(self, key: str, value: Any) -> None:
        """Whatever stands in place of whichever key, it is a campaign that keeps its limits, or refused."""
        try:
            campaign = SaleSettings.model_validate(LEAST | {key: value}).in_zone(HO_CHI_MINH)
        except ValidationError:
            return
        assert SaleSettings.model_validate(campaign.to_json()) == campaign

    @pytest.mark.parametrize("value", [date(2027, 1, 28), time(20), 5, 5.0, True, [], {}, b"2027-01-28T20:00:00"])
    def test_times_are_not_guessed(self, value: object) -> None:
        """Seconds since 1970, dates and bytes are no times of a campaign."""
        with pytest.raises(ValidationError):
            sale(starts=value)


class TestSkuFiles:
    """Files with one SKU a line."""

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_hold_one_a_line(self, tmp_path: Path, newline: str) -> None:
        """Blank lines, comments, outer spaces and the mark that some editors put in front are not part of them."""
        path = tmp_path / "skus.txt"
        lines = ["# Tết 2027", "AD-001-M", "", "  ÁO #2  ", "\t", "A B"]
        path.write_bytes(b"\xef\xbb\xbf" + newline.join(lines).encode())
        assert read_skus(path) == ["AD-001-M", "ÁO #2", "A B"]

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "names no SKU: write one a line"),
            (b"# none yet\n\n", "names no SKU"),
            ("Đ".encode("utf-16"), "is not UTF-8: save it in this encoding"),
            pytest.param(b"a\n" * (MOST_TARGETS + 1), "is no list of at most 10,000 SKUs, one a line", id="many"),
            pytest.param(b"a" * (LONGEST_WORD + 1), "is no list of at most 10,000 SKUs, one a line", id="long"),
        ],
    )
    def test_that_hold_none(self, tmp_path: Path, content: bytes, problem: str) -> None:
        """What is no such list is refused with its path, rather than read as something else."""
        path = tmp_path / "skus.txt"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{path} {problem}"):
            read_skus(path)

    def test_that_are_not_there(self, tmp_path: Path) -> None:
        """A missing file and a directory are named."""
        for path in (tmp_path / "missing.txt", tmp_path):
            with pytest.raises(ValueError, match=f"^{path} can't be read: "):
                read_skus(path)


def test_list_of_skus_may_be_pasted_from_a_chat(tmp_path: Path) -> None:
    """What nobody sees is no part of a SKU, and no SKU by itself."""
    path = tmp_path / "skus.txt"
    path.write_text("\u202aAD-001\u202c\n\u200b\n\u2060# a remark\nAO\ufe0f-2\u00ad\n", "utf-8")
    assert read_skus(path) == ["AD-001", "AO-2"]


class TestSchema:
    """What an editor knows of campaigns."""

    @pytest.mark.parametrize(
        "change",
        [
            {"percent": 100},
            {"percent": 0},
            {"amount": 0},
            {"round_to": 0},
            {"ending": -1},
            {"floor": 0},
            {"targets": {"tag": ["a"]}},
            {"excludes": {"all": True}},
            {"newcomers": "no"},
            {"starts": 5},
        ],
    )
    def test_refuses_what_the_daemon_refuses(self, change: dict[str, Any]) -> None:
        """Common mistakes are seen in the editor already."""
        jsonschema.validate({"sales": [LEAST]}, json_schema())
        with pytest.raises(ValidationError):
            SaleSettings.model_validate(LEAST | change)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"sales": [LEAST | change]}, json_schema())

    def test_defaults_are_what_may_be_written(self) -> None:
        """An editor that fills in the defaults makes a valid file."""
        tables = json_schema()["$defs"]
        for model in (SaleSettings, SaleTargets, SaleSelection):
            for key, described in tables[model.__name__]["properties"].items():
                if "default" in described and "$ref" not in described:
                    jsonschema.validate(described["default"], described)
                    default = model.model_fields[key].default
                    assert (list(default) if isinstance(default, tuple) else default) == described["default"]


class TestExample:
    """The campaign that stands commented out in config/dongbo.toml."""

    def test_is_valid_with_every_key(self) -> None:
        """Without its "#" it is a campaign that says everything that one can say."""
        document = example()
        settings = Settings.model_validate({"stores": tomllib.loads(STORES)["stores"], **document})
        (campaign,) = settings.sales
        assert campaign.model_fields_set == set(SaleSettings.model_fields) - {"amount"}
        assert campaign.targets.model_fields_set == set(SaleSelection.model_fields)

    def test_shows_the_true_defaults(self) -> None:
        """A key that has a default shows it there."""
        shown = SaleSettings.model_validate(example()["sales"][0])
        for key in ("discount_from", "round_to", "newcomers"):
            assert getattr(shown, key) == SaleSettings.model_fields[key].default
        assert shown.ending == 0


def example() -> dict[str, Any]:
    """The example's campaign with its "#" taken away."""
    lines = EXAMPLE.read_text("utf-8").partition("# [[sales]]\n")[2].splitlines()
    return tomllib.loads("[[sales]]\n" + "\n".join(line.removeprefix("# ") for line in lines))


def test_every_model_is_frozen() -> None:
    """Nobody changes a campaign's definition but by making another one."""
    models: tuple[BaseModel, ...] = (sale(), sale().targets, sale().excludes)
    for model in models:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, next(iter(type(model).model_fields)), None)
