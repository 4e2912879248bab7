"""Decisions of people about customers: they hold against the rules, and are told; search and reasons besides."""

from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from daemon.api.customers import CustomerHit, CustomerOutcome, CustomerState, OverruledCustomer
from daemon.database.pool import Database
from daemon.errors import DatabaseUnavailable, InvalidMapping
from daemon.jobs import actions
from daemon.jobs.actions import ActionKind, SubjectKind, Way, coming_by
from daemon.mirror.text_upkeep import note_due
from daemon.sync.customers.document import write_customer
from daemon.sync.customers.lookup import CustomerLister
from daemon.sync.customers.plan import CustomerPlan
from daemon.sync.matching import customer_decisions
from daemon.sync.matching.customer_decisions import DECISIONS
from daemon.tone import Tone
from tests.integration.sync.test_match_customers import Buyer, Customer, Shop, number
from tests.support.match_jobs import STORE, MatchJobs

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
LIVE = """
SELECT shopify_id, nhanh_id, source FROM dongbo.customer_mappings WHERE retired_at IS NULL ORDER BY shopify_id
"""

Look = Callable[..., Awaitable[list[CustomerHit]]]


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database, MatchJobs(database))


@pytest.fixture
def look(database: Database) -> Look:
    """Searches, or lists a state."""

    async def run(text: str | None = None, state: CustomerState | None = None) -> list[CustomerHit]:
        async with database.acquire() as connection:
            lister = CustomerLister(connection, STORE, ZONE)
            if text is None:
                return await lister.of_state(state, after=0, limit=50)
            return (await lister.search(text, state, skip=0, limit=50))[0]

    return run


async def decide(database: Database, *entries: tuple[int, int | None], note: str | None = None) -> CustomerOutcome:
    async with database.acquire() as connection:
        return await customer_decisions.set_manual(connection, STORE, entries, note)


async def take_back(database: Database, *shopify_ids: int) -> int:
    async with database.acquire() as connection:
        return await DECISIONS.take_back(connection, STORE, shopify_ids)


async def test_a_search_says_that_somebody_may_not_be_found_yet(shop: Shop, database: Database) -> None:
    """Rule 17: between reading customers and noting their names, nobody's absence is passed off as certain."""
    await shop.put([], [Customer(11, number(1))])
    await shop.match()
    async with database.acquire() as connection:
        lister = CustomerLister(connection, STORE, ZONE)
        found, said = await lister.search("customer 11", None, skip=0, limit=50)
        assert (found, said is not None and "Search again" in said) == ([], True)
        assert await note_due(connection)
        found, said = await lister.search("customer 11", None, skip=0, limit=50)
        assert ([hit.shopify_id for hit in found], said) == ([11], None)


async def note_texts(database: Database) -> None:
    """By what all customers are found who have been read."""
    async with database.acquire() as connection:
        while await note_due(connection):
            pass


async def test_a_decision_holds_against_the_rules(shop: Shop, database: Database) -> None:
    """Matching by phone finds other pairs, before and after, and leaves the decisions alone."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, number(3))],
        [Customer(11, number(1)), Customer(12, number(2)), Customer(13, number(3))],
    )
    await shop.match()
    outcome = await decide(database, (11, 2), (13, None))
    assert outcome == CustomerOutcome(2, 2, 0, [OverruledCustomer(12, 2)])
    for _ in range(2):
        await shop.match()
        assert await shop.rows(LIVE) == [(11, 2, "manual"), (13, None, "manual")]
    assert await decide(database, (11, 2)) == CustomerOutcome(0, 0, 1, [])
    assert await take_back(database, 11, 12, 13) == 2
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "phone"), (12, 2, "phone"), (13, 3, "phone")]


async def test_a_decision_survives_that_a_customer_is_gone_for_a_while(shop: Shop, database: Database) -> None:
    """It is retired only while a side of it is missing; one that is taken back does not return."""
    await shop.put([Buyer(1), Buyer(2)], [Customer(11), Customer(12)])
    await decide(database, (11, 1), (12, None))
    await shop.put([Buyer(1, is_deleted=True)], [Customer(12, is_deleted=True)])
    await shop.match()
    assert await shop.rows(LIVE) == []
    await shop.put([Buyer(1)], [Customer(12)])
    await shop.match()
    assert await shop.rows(LIVE) == [(11, 1, "manual"), (12, None, "manual")]
    await shop.put([Buyer(1, is_deleted=True)])
    await shop.match()
    assert await take_back(database, 11) == 1
    await shop.put([Buyer(1)])
    await shop.match()
    assert await shop.rows(LIVE) == [(12, None, "manual")]


async def test_a_decision_is_what_is_pushed_by(shop: Shop, database: Database) -> None:
    """Two customers of Shopify may be one person; whoever has no counterpart gets nothing."""
    await shop.put([Buyer(1)], [Customer(11), Customer(12), Customer(13)])
    await decide(database, (11, 1), (12, 1), (13, None))
    plan = CustomerPlan(database, STORE)
    assert [(row.shopify_id, row.nhanh_id) for row in await plan.scan(0, 10)] == [(11, 1), (12, 1)]


async def test_wrong_entries_are_named_all_at_once(shop: Shop, database: Database) -> None:
    """Nothing is written where one entry can't hold."""
    await shop.put([Buyer(1), Buyer(2, is_deleted=True)], [Customer(11), Customer(12), Customer(13, is_deleted=True)])
    with pytest.raises(InvalidMapping) as caught:
        await decide(database, (11, 1), (11, 1), (12, 2), (13, None), (99, 98), (0, None))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "customer 11", "0", "customer 13", "customer 99", "customer 2", "customer 98"
    ]  # fmt: skip
    assert await shop.rows(LIVE) == []


async def test_who_decides_while_customers_are_matched_waits(shop: Shop, database: Database) -> None:
    """Not for long: then a sentence says what to do."""
    await shop.put([Buyer(1)], [Customer(11)])
    async with database.acquire() as holder, holder.transaction():
        await DECISIONS.lock(holder, STORE)
        async with database.acquire() as connection:
            await connection.execute("SET lock_timeout = '50ms'")
            with pytest.raises(DatabaseUnavailable, match="customers of store main are being matched"):
                await customer_decisions.set_manual(connection, STORE, [(11, 1)], None)


async def test_decisions_are_kept_with_who_made_them(shop: Shop, database: Database) -> None:
    """Each is shown at the customer whom it is about."""
    await shop.put([Buyer(1)], [Customer(11), Customer(12)])
    with coming_by(Way.PAGE):
        await decide(database, (11, 1), (12, None), note="she told us")
        await take_back(database, 12)
    async with database.acquire() as connection:
        of_11 = await actions.list_of(connection, STORE, SubjectKind.CUSTOMER, 11)
        of_12 = await actions.list_of(connection, STORE, SubjectKind.CUSTOMER, 12)
    assert [(action.kind, action.detail) for action in of_11] == [
        (ActionKind.MAP, {"nhanh_id": 1, "note": "she told us"})
    ]
    assert [action.kind for action in of_12] == [ActionKind.UNMAP, ActionKind.EXCLUDE]


async def test_rows_of_the_rules_keep_their_form(database: Database) -> None:
    """Only a person's decision has no phone number, or no counterpart."""
    async with database.acquire() as connection:
        for nhanh_id, source, phone in ((None, "phone", "+84912"), (1, "phone", None), (1, "manual", "+84912")):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(
                    "INSERT INTO dongbo.customer_mappings (store, shopify_id, nhanh_id, source, phone) "
                    "VALUES ('main', 11, $1, $2, $3)",
                    nhanh_id,
                    source,
                    phone,
                )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("customer 11", [11]), ("khách 1", [11]), ("KHACH 1", [11]), ("0912 000 001", [11]), ("0912000001", [11]),
        ("+84 912 000 001", [11]), ("000001", [11]), ("11", [11]), ("gid://shopify/Customer/11", [11]),
        ("https://admin.shopify.com/store/ao-dai/customers/11", [11]), ("gid://shopify/Customer/1", []), ("%", []),
        ("nobody", []),
    ],
)  # fmt: skip
async def test_a_customer_is_found_by_whatever_people_have(
    shop: Shop, look: Look, database: Database, text: str, found: list[int]
) -> None:
    """A part of the name of either side, a phone number however it is written, an id, an address."""
    await shop.put([Buyer(1, number(1)), Buyer(2)], [Customer(11, "+84912000001"), Customer(12)])
    await shop.match()
    await note_texts(database)
    assert [hit.shopify_id for hit in await look(text)] == found


async def test_lists_tell_each_state_with_its_reason(shop: Shop, look: Look, database: Database) -> None:
    """Why somebody does not match is what the rules met with."""
    await shop.put(
        [Buyer(1, number(1)), Buyer(2, number(2)), Buyer(3, number(2)), Buyer(5, number(5))],
        [
            Customer(11, number(1)), Customer(12, number(2)), Customer(13), Customer(14, number(4)),
            Customer(15, number(5)), Customer(16, number(5)), Customer(17),
        ],
    )  # fmt: skip
    await shop.match()
    await decide(database, (15, 5), (17, None), note="a shop of ours")
    await shop.match()
    await note_texts(database)
    texts = {hit.shopify_id: (hit.state, hit.text) for hit in await look()}
    assert texts[11][0] is CustomerState.MAPPED
    assert "Customer 1 of Nhanh.vn, matched by the phone number +84912000001" in texts[11][1]
    assert texts[12][0] is CustomerState.AMBIGUOUS
    assert "+84912000002 does not tell who is who: 2 at Nhanh.vn and 1 at Shopify" in texts[12][1]
    assert texts[13] == (
        CustomerState.UNMATCHED,
        "No phone number that could be read stands with the customer at Shopify, and names match nobody.",
    )
    assert texts[14] == (CustomerState.UNMATCHED, "Nobody at Nhanh.vn has the phone number +84912000004.")
    assert "A person decided on" in texts[15][1]
    assert texts[16] == (
        CustomerState.UNMATCHED,
        "Customer 5 of Nhanh.vn has the phone number +84912000005, and is mapped to customer 15 of Shopify.",
    )
    assert texts[17][0] is CustomerState.EXCLUDED
    assert texts[17][1].endswith("that there is no counterpart at Nhanh.vn (a shop of ours).")
    for state in CustomerState:
        listed = [hit.shopify_id or hit.nhanh_id for hit in await look(state=state)]
        assert listed == {
            CustomerState.MAPPED: [11, 15], CustomerState.EXCLUDED: [17], CustomerState.AMBIGUOUS: [12],
            CustomerState.UNMATCHED: [13, 14, 16], CustomerState.NHANH_ONLY: [2, 3],
        }[state]  # fmt: skip
        if state is not CustomerState.NHANH_ONLY:
            assert [hit.shopify_id for hit in await look("customer", state)] == listed


async def test_a_customer_who_is_gone_is_not_said_to_be_right(shop: Shop, look: Look, database: Database) -> None:
    """Green would claim that the pair is in step, and there is no pair any more."""
    await shop.put([Buyer(1, number(1))], [Customer(11, number(1))])
    await shop.match()
    async with database.acquire() as connection:
        await connection.execute("UPDATE dongbo.shopify_customers SET deleted_at = now()")
        customer = await write_customer(connection, STORE, 11, ZONE)
    (hit,) = await look("11")
    assert customer is not None
    assert (hit.tone, customer.tone) == (Tone.OFF, Tone.OFF)


async def test_a_customer_is_shown_with_who_may_be_meant(shop: Shop, database: Database) -> None:
    """Both sides, and the candidates with the number that they share."""
    await shop.put([Buyer(2, number(2)), Buyer(3, number(2))], [Customer(12, number(2), note="VIP")])
    await shop.match()
    async with database.acquire() as connection:
        customer = await write_customer(connection, STORE, 12, ZONE)
        assert await write_customer(connection, STORE, 99, ZONE) is None
    assert customer is not None
    assert (customer.shopify.name, customer.shopify.note, customer.shopify.numbers) == (
        "Customer 12", "VIP", ["+84912000002"]
    )  # fmt: skip
    assert [(choice.nhanh_id, choice.phone) for choice in customer.mapping.candidates] == [
        (2, "+84912000002"), (3, "+84912000002")
    ]  # fmt: skip
    await decide(database, (12, 3))
    async with database.acquire() as connection:
        customer = await write_customer(connection, STORE, 12, ZONE)
    assert customer is not None
    assert customer.nhanh is not None
    assert (customer.nhanh.id, customer.mapping.source, customer.mapping.candidates) == (3, "manual", [])


async def test_customers_that_were_never_matched_say_so(shop: Shop, look: Look) -> None:
    """Nothing is claimed of numbers that were not read."""
    await shop.put([], [Customer(11, number(1))])
    (hit,) = await look()
    assert "have not been matched" in hit.text
