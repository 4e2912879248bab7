"""What a store should be told by webhooks, against what its app has subscribed to.

Shopify is asked only for the fields that are read (`daemon.webhooks.reading`), which leaves out personal data, and for
`updated_at`: what is the same as before under the fields asked for is dropped as a duplicate there (shopify.dev,
"Modify your payloads"). Subscriptions to other addresses are somebody else's: they are never touched.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from daemon.config import StoreSettings
from daemon.errors import SourceError
from daemon.ids import StoreName
from daemon.inbox.topics import Concern, Subject, Topic, topics_of
from daemon.jobs.types import Source
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.scopes import missing_scopes
from daemon.sources.shopify.version import API_VERSION
from daemon.sources.shopify.webhooks import JSON, SubscribedTopic, WebhookSubscriptions

PRODUCT_FIELDS = (
    *("id", "updated_at", "title", "vendor", "product_type", "tags", "status", "variants.id", "variants.sku"),
    *("variants.barcode", "variants.price", "variants.compare_at_price", "variants.inventory_item_id"),
)
LEVEL_FIELDS = ("inventory_item_id", "location_id", "available", "updated_at")
CUSTOMER_FIELDS = ("id", "updated_at")
# Those that come whole have no `updated_at`, or are about no record at all.
FIELDS = {
    "products/create": PRODUCT_FIELDS,
    "products/update": PRODUCT_FIELDS,
    "inventory_levels/connect": LEVEL_FIELDS,
    "inventory_levels/update": LEVEL_FIELDS,
    "customers/create": CUSTOMER_FIELDS,
    "customers/update": CUSTOMER_FIELDS,
}

NHANH_SUBJECTS = {Concern.PRODUCTS: (Subject.NHANH_PRODUCT,), Concern.CUSTOMERS: (Subject.NHANH_CUSTOMER,)}
SHOPIFY_SUBJECTS = {
    Concern.PRODUCTS: (Subject.SHOPIFY_PRODUCT, Subject.SHOPIFY_ITEM),
    Concern.CUSTOMERS: (Subject.SHOPIFY_CUSTOMER,),
}

# Shopify's schema, WebhookSubscriptionTopic.
SCOPES = {
    Subject.SHOPIFY_PRODUCT: ("read_products",),
    Subject.SHOPIFY_ITEM: ("read_inventory",),
    Subject.SHOPIFY_CUSTOMER: ("read_customers",),
}
MERGE = "customers/merge"
MERGE_SCOPES = ("read_customer_merge",)


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic that a store is to be told of.

    Args:
        topic: what it is.
        fields: of the body; empty: all.
        scopes: that the app needs to be told; one for writing includes the one for reading.
    """

    topic: Topic
    fields: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As webhooks call it, such as products/update."""
        return self.topic.name


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """What is to be done so that an address is told of just the right topics.

    Args:
        uri: the address.
        missing: to be subscribed to.
        changed: to be changed, and into what: they tell less than is read, or only some events.
        stale: to be deleted: of topics that nothing here uses, or there twice.
        right: as they should be.
        elsewhere: those to other addresses.
        refused: topics for which the app lacks scopes.
    """

    uri: str
    missing: tuple[WantedTopic, ...] = ()
    changed: tuple[tuple[SubscribedTopic, WantedTopic], ...] = ()
    stale: tuple[SubscribedTopic, ...] = ()
    right: tuple[SubscribedTopic, ...] = ()
    elsewhere: tuple[SubscribedTopic, ...] = ()
    refused: tuple[WantedTopic, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.missing or self.changed or self.stale)

    @property
    def of_other_version(self) -> tuple[SubscribedTopic, ...]:
        """Those to the address whose bodies are of another version of the API than is read here."""
        here = (*self.right, *(subscribed for subscribed, _wanted in self.changed))
        return tuple(subscribed for subscribed in here if subscribed.api_version != API_VERSION)


@dataclass(slots=True)
class SubscriptionsMade:
    """What was done; `failed` are topics with the reasons."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def webhook_address(base_url: str, source: Source, store: StoreName) -> str:
    """Where a store's webhooks of one side arrive; `base_url` is that of the listener, as others reach it."""
    return f"{base_url.rstrip('/')}/webhooks/{source}/{store}"


def wanted_topics(store: StoreSettings, granted: Collection[str]) -> tuple[WantedTopic, ...]:
    """The topics of Shopify that a store's configuration has a use for; `granted`: the app's scopes."""
    return tuple(_wanted(store, granted))


def wanted_events(store: StoreSettings) -> tuple[str, ...]:
    """The events of Nhanh.vn to be ticked for a store; `webhooksEnabled` comes by itself."""
    subjects = {Subject.APP, *(subject for concern in _concerns(store) for subject in NHANH_SUBJECTS[concern])}
    return tuple(topic.name for topic in topics_of(Source.NHANH) if subjects & set(topic.subjects))


def compare(
    uri: str, wanted: Sequence[WantedTopic], present: Sequence[SubscribedTopic], granted: Collection[str]
) -> SubscriptionPlan:
    """What is to be done, so that `uri` is told of what is wanted, of which `present` is there already."""
    here = [subscribed for subscribed in present if subscribed.uri == uri]
    of_topic: dict[str, list[SubscribedTopic]] = {}
    for subscribed in here:
        of_topic.setdefault(subscribed.topic, []).append(subscribed)
    missing: list[WantedTopic] = []
    changed: list[tuple[SubscribedTopic, WantedTopic]] = []
    right: list[SubscribedTopic] = []
    refused: list[WantedTopic] = []
    for each in wanted:
        found = of_topic.get(each.topic.shopify_name)
        if found is None:
            (refused if missing_scopes(each.scopes, granted) else missing).append(each)
        elif _is_right(found[0], each):
            right.append(found[0])
        else:
            changed.append((found[0], each))
    kept = {subscribed.id for subscribed in (*right, *(subscribed for subscribed, _ in changed))}
    return SubscriptionPlan(
        uri,
        missing=tuple(missing),
        changed=tuple(changed),
        stale=tuple(subscribed for subscribed in here if subscribed.id not in kept),
        right=tuple(right),
        elsewhere=tuple(subscribed for subscribed in present if subscribed.uri != uri),
        refused=tuple(refused),
    )


async def carry_out(plan: SubscriptionPlan, webhooks: WebhookSubscriptions, meter: CallMeter) -> SubscriptionsMade:
    """Do what is to be done; what one topic is refused does not hold up the others.

    A subscription that was made although its answer got lost counts as failed here: whoever compares once more sees it.
    """
    made = SubscriptionsMade()
    for wanted in plan.missing:
        try:
            await webhooks.create(wanted.topic.shopify_name, plan.uri, wanted.fields, meter=meter)
            made.created.append(wanted.name)
        except SourceError as error:
            made.failed[wanted.name] = str(error)
    for subscribed, wanted in plan.changed:
        try:
            await webhooks.update(subscribed.id, wanted.fields, meter=meter)
            made.updated.append(wanted.name)
        except SourceError as error:
            made.failed[wanted.name] = str(error)
    await delete_all(plan.stale, webhooks, made, meter)
    return made


async def delete_all(
    subscribed: Sequence[SubscribedTopic], webhooks: WebhookSubscriptions, made: SubscriptionsMade, meter: CallMeter
) -> None:
    """Delete subscriptions, and note in `made` what came of it."""
    for each in subscribed:
        try:
            await webhooks.delete(each.id, meter=meter)
            made.deleted.append(topic_name(each.topic))
        except SourceError as error:
            made.failed[topic_name(each.topic)] = str(error)


def topic_name(shopify_name: str) -> str:
    """As webhooks call a topic that is understood; any other as subscriptions call it."""
    for topic in topics_of(Source.SHOPIFY):
        if topic.shopify_name == shopify_name:
            return topic.name
    return shopify_name


def _wanted(store: StoreSettings, granted: Collection[str]) -> Iterator[WantedTopic]:
    subjects = {
        Subject.APP,
        Subject.BULK_OPERATION,
        *(subject for concern in _concerns(store) for subject in SHOPIFY_SUBJECTS[concern]),
    }
    for topic in topics_of(Source.SHOPIFY):
        [subject] = topic.subjects
        scopes = MERGE_SCOPES if topic.name == MERGE else SCOPES.get(subject, ())
        # Nobody is asked to grant a scope for merges alone: the next pull sees what they change.
        if subject in subjects and not (topic.name == MERGE and missing_scopes(scopes, granted)):
            yield WantedTopic(topic, FIELDS.get(topic.name, ()), scopes)


def _concerns(store: StoreSettings) -> Iterator[Concern]:
    """What is pushed of a store, for which it needs both sides."""
    if store.nhanh is None or store.shopify is None:
        return
    if store.product_sync is not None:
        yield Concern.PRODUCTS
    if store.customer_sync is not None:
        yield Concern.CUSTOMERS


def _is_right(subscribed: SubscribedTopic, wanted: WantedTopic) -> bool:
    return subscribed.format == JSON and not subscribed.filter and set(subscribed.include_fields) == set(wanted.fields)
