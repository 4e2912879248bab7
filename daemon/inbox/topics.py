"""What webhooks are about: one row for each topic that is understood.

Sources: apidocs.nhanh.vn, "Webhooks" (v3); shopify.dev, "Webhooks", "Topics".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.api.webhooks import Concern, EventState, Subject
from daemon.jobs.types import Source

__all__ = ["TOPICS", "Concern", "EventState", "Subject", "Topic", "topics_of"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is understood.

    Args:
        name: in the source's words: `inventoryChange`, `products/update`.
        subjects: what its deliveries name.
        is_gone: whether it says that what it names is no longer there.
        is_test: whether it only tries the address.
    """

    source: Source
    name: str
    subjects: tuple[Subject, ...]
    is_gone: bool = False
    is_test: bool = False

    @property
    def shopify_name(self) -> str:
        """As Shopify's `WebhookSubscriptionTopic` calls it: PRODUCTS_UPDATE."""
        return self.name.replace("/", "_").upper()


TEST_TOPIC = "dongbo/test"
"""Under which `dongbo webhooks test` sends an event in Shopify's name; Shopify has no such topic."""

_PRODUCT = (Subject.NHANH_PRODUCT,)
_ORDER = (Subject.NHANH_PRODUCT, Subject.NHANH_CUSTOMER)  # it moves the stock of the ones and the total of the other

_TOPICS = (
    Topic(Source.NHANH, "webhooksEnabled", (Subject.NOTHING,), is_test=True),
    Topic(Source.NHANH, "appUninstalled", (Subject.APP,)),
    Topic(Source.NHANH, "productAdd", _PRODUCT),
    Topic(Source.NHANH, "productUpdate", _PRODUCT),
    Topic(Source.NHANH, "productDelete", _PRODUCT, is_gone=True),
    Topic(Source.NHANH, "inventoryChange", _PRODUCT),
    Topic(Source.NHANH, "orderAdd", _ORDER),
    Topic(Source.NHANH, "orderUpdate", _ORDER),
    Topic(Source.NHANH, "orderPartialReturn", _ORDER),
    Topic(Source.NHANH, "orderDelete", (Subject.NOTHING,)),  # names orders only; inventoryChange tells of the stock
    Topic(Source.SHOPIFY, "products/create", (Subject.SHOPIFY_PRODUCT,)),
    Topic(Source.SHOPIFY, "products/update", (Subject.SHOPIFY_PRODUCT,)),
    Topic(Source.SHOPIFY, "products/delete", (Subject.SHOPIFY_PRODUCT,), is_gone=True),
    Topic(Source.SHOPIFY, "inventory_levels/connect", (Subject.SHOPIFY_ITEM,)),
    Topic(Source.SHOPIFY, "inventory_levels/update", (Subject.SHOPIFY_ITEM,)),
    Topic(Source.SHOPIFY, "inventory_levels/disconnect", (Subject.SHOPIFY_ITEM,)),
    Topic(Source.SHOPIFY, "customers/create", (Subject.SHOPIFY_CUSTOMER,)),
    Topic(Source.SHOPIFY, "customers/update", (Subject.SHOPIFY_CUSTOMER,)),
    Topic(Source.SHOPIFY, "customers/delete", (Subject.SHOPIFY_CUSTOMER,), is_gone=True),
    Topic(Source.SHOPIFY, "customers/merge", (Subject.SHOPIFY_CUSTOMER,)),
    Topic(Source.SHOPIFY, "bulk_operations/finish", (Subject.BULK_OPERATION,)),
    Topic(Source.SHOPIFY, "app/uninstalled", (Subject.APP,)),
    Topic(Source.SHOPIFY, TEST_TOPIC, (Subject.NOTHING,), is_test=True),
)

TOPICS: Mapping[tuple[Source, str], Topic] = {(topic.source, topic.name): topic for topic in _TOPICS}


def topics_of(source: Source) -> tuple[Topic, ...]:
    """The topics of one side that are understood, in a fixed order."""
    return tuple(topic for topic in _TOPICS if topic.source is source)
