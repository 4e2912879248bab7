"""What webhooks tell of customers is read at its source, and pushed where it differs."""

from decimal import Decimal
from typing import Any

from daemon.inbox.events import WebhookEvent
from daemon.inbox.topics import EventState, Subject
from daemon.jobs.types import JobType
from tests.integration.sync.test_named_customers import ABROAD, HOME, People, people, sandbox_settings
from tests.support.synced_shop import check_counters
from tests.support.told_webhooks import arrival, settled, tell

__all__ = ["people", "sandbox_settings"]

JOBS = "SELECT id FROM dongbo.background_jobs WHERE type = $1 ORDER BY id"
PUSHES = "SELECT * FROM dongbo.pushes WHERE owner_id = $1 ORDER BY id"


def order(customer_id: int) -> Any:
    """What an order at Nhanh.vn says of who has made it."""
    return arrival("orderAdd", customer_id, subject=Subject.NHANH_CUSTOMER)


async def told(people: People, *arrivals: Any) -> list[WebhookEvent]:
    """The events of these arrivals once they are settled, and all jobs have counted exactly."""
    await tell(people.workshop.database, arrivals)
    events = await settled(people.workshop.database)
    for row in await people.workshop.rows(JOBS, JobType.SYNC_CHANGED_CUSTOMERS):
        check_counters(await people.workshop.wait(row["id"]))
    return events[-len(arrivals) :]


async def test_an_order_moves_the_total_of_who_has_made_it(people: People) -> None:
    """That customer is read and pushed, nobody else; the push says which webhook it was."""
    buyer, customer = people.buyer(HOME, 1_000_000), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.shopify.writes.clear()
    people.nhanh.change_customer(buyer.id, total_amount=Decimal(4_000_000))
    (event,) = await told(people, order(buyer.id))
    assert (event.state, people.total(customer)) == (EventState.DONE, "4000000")
    assert people.touched() == {customer.id}
    pushes = await people.workshop.rows(PUSHES, customer.id)
    time = f"{event.received_at:%H:%M:%S}"
    assert pushes[-1]["job_id"] == event.job_id
    assert pushes[-1]["reason"].endswith(f"; because of the webhook of {time} (orderAdd)")
    assert event.outcome is not None
    assert event.outcome.endswith("pushed.")


async def test_who_is_new_on_both_sides_is_matched(people: People) -> None:
    """Whichever side tells first: the other one's event finds them."""
    buyer = people.buyer(HOME, 3_500_000)
    (first,) = await told(people, order(buyer.id))
    assert (first.state, first.outcome) == (EventState.DONE, "Nothing on the other side is mapped to it.")
    customer = people.customer(ABROAD)
    (second,) = await told(people, arrival("customers/create", customer.id))
    assert second.state is EventState.DONE
    assert people.total(customer) == "3500000"


async def test_a_buyer_finds_a_customer_who_was_there_before(people: People) -> None:
    """The first order at Nhanh.vn of somebody whom Shopify knows."""
    customer = people.customer(ABROAD)
    await told(people, arrival("customers/create", customer.id))
    buyer = people.buyer(HOME, 2_500_000)
    await told(people, order(buyer.id))
    assert people.total(customer) == "2500000"


async def test_what_is_forged_causes_a_reading_and_nothing_else(people: People) -> None:
    """Nobody has changed: nothing is written; who does not exist is said to be gone."""
    buyer, customer = people.buyer(HOME, 1_000_000), people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.shopify.writes.clear()
    events = await told(people, order(buyer.id), arrival("customers/delete", customer.id), order(987_654_321))
    assert people.shopify.writes == []
    assert {event.state for event in events} == {EventState.DONE}
    outcomes = {event.subject_ids: event.outcome for event in events}
    assert outcomes[987_654_321,] == "It is gone at its source."
    assert outcomes[buyer.id,] == outcomes[customer.id,] == "It was read again: nothing was to be pushed."


async def test_who_is_gone_is_noted(people: People) -> None:
    """At Shopify: nothing is pushed to nobody."""
    people.buyer(HOME, 1_000_000)
    customer = people.customer(ABROAD)
    await people.sync(customers=[HOME])
    people.shopify.delete_customer(customer.id)
    people.shopify.writes.clear()
    (event,) = await told(people, arrival("customers/delete", customer.id))
    assert (event.state, people.shopify.writes) == (EventState.DONE, [])
    gone = "SELECT deleted_at FROM dongbo.shopify_customers WHERE id = $1"
    assert await people.workshop.value(gone, customer.id) is not None
