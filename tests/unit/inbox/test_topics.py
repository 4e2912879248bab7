"""What webhooks are about."""

import pytest

from daemon.inbox.topics import TOPICS, Concern, EventState, Subject, topics_of
from daemon.jobs.types import Source


def test_each_topic_says_what_its_deliveries_name() -> None:
    """Every topic names something, of its own side only."""
    other_side = {Source.NHANH: "shopify_", Source.SHOPIFY: "nhanh_"}
    for (source, name), topic in TOPICS.items():
        assert (topic.source, topic.name) == (source, name)
        assert topic.subjects
        assert not any(subject.startswith(other_side[source]) for subject in topic.subjects)
    assert set(topics_of(Source.NHANH)) | set(topics_of(Source.SHOPIFY)) == set(TOPICS.values())


def test_an_order_concerns_products_and_customers() -> None:
    """It moves the stock of the ones and the total of the other."""
    subjects = TOPICS[Source.NHANH, "orderUpdate"].subjects
    assert [subject.concern for subject in subjects] == [Concern.PRODUCTS, Concern.CUSTOMERS]


@pytest.mark.parametrize("subject", [Subject.NOTHING, Subject.APP, Subject.BULK_OPERATION])
def test_some_subjects_need_no_job(subject: Subject) -> None:
    """Nobody would take their events."""
    assert subject.concern is None


def test_topics_are_subscribed_by_shopifys_names() -> None:
    """The schema calls them otherwise than the header of a delivery."""
    assert TOPICS[Source.SHOPIFY, "inventory_levels/update"].shopify_name == "INVENTORY_LEVELS_UPDATE"


def test_only_what_waits_or_is_taken_is_open() -> None:
    """Whatever else an event may be, nothing more is done about it."""
    assert {state for state in EventState if not state.is_settled} == {EventState.WAITING, EventState.TAKEN}
