"""Takes in a delivery: who sent it, what it names, for which store, and into the inbox with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import SecretStr

from daemon.config import ResolvedSecrets, Settings
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.inbox.events import Arrival
from daemon.inbox.streams import StreamId
from daemon.inbox.topics import Concern, EventState, Subject
from daemon.jobs.types import Source
from daemon.serving.addresses import Address
from daemon.serving.tally import Tally
from daemon.webhooks.counts import DeliveryCounts
from daemon.webhooks.reading import DeliveryHeaders, NhanhDelivery, read_shopify
from daemon.webhooks.verification import Verifier
from daemon.webhooks.writer import InboxWriter, NotStored


class Forged(Exception):
    """Whoever sent this has not shown what only the source knows, or there is no such store."""


@dataclass(frozen=True, slots=True)
class _Business:
    """A business of Nhanh.vn, as an app sees it: the app has one address for all of them."""

    app_id: int
    business_id: int


class Intake:
    """Knows the stores and their secrets, and hands on what is rightly signed. Until `use` it knows none."""

    def __init__(self, writer: InboxWriter, counts: DeliveryCounts, verifier: Verifier | None = None) -> None:
        self.counts = counts
        self._writer = writer
        self._verifier = verifier or Verifier()
        self._businesses: Mapping[StoreName, _Business] = {}
        self._store_of: Mapping[_Business, StoreName] = {}
        self._concerns: Mapping[StoreName, frozenset[Concern]] = {}
        self._refusals = Tally("webhooks_refused", next_step="compare webhook_token, webhook_secret or client_secret")

    def use(self, settings: Settings, secrets: ResolvedSecrets) -> None:
        """Take over the stores of a configuration, and what their deliveries are signed with."""
        self._verifier.use(_keys(secrets))
        self._businesses = {
            name: _Business(store.nhanh.app_id, store.nhanh.business_id)
            for name, store in settings.stores.items()
            if store.nhanh is not None
        }
        self._store_of = {business: name for name, business in self._businesses.items()}
        self._concerns = {
            name: frozenset(
                concern
                for concern, sync in (
                    (Concern.PRODUCTS, store.product_sync),
                    (Concern.CUSTOMERS, store.customer_sync),
                )
                if sync is not None and store.nhanh is not None and store.shopify is not None
            )
            for name, store in settings.stores.items()
        }

    @property
    def streams(self) -> Sequence[StreamId]:
        """The streams that deliveries are accepted of."""
        return self._verifier.streams

    def concerns_of(self, store: StoreName) -> Collection[Concern]:
        """Which kinds of jobs take the events of a store."""
        return self._concerns.get(store, frozenset())

    def check_token(self, store: StoreName, token: str, sender: Address) -> None:
        """Raises Forged for a token that the app of this store would not show: its body need not be read."""
        if not self._verifier.is_of_nhanh(store, token):
            self.refuse(StreamId(store, Source.NHANH), sender)

    async def take_nhanh(self, store: StoreName, token: str | None, body: bytes, sender: Address) -> None:
        """Keep a delivery of Nhanh.vn.

        Raises Forged, and NotStored where it should be sent again.
        """
        stream = StreamId(store, Source.NHANH)
        if not self._verifier.is_of_nhanh(store, token, body):
            self.refuse(stream, sender)
        delivery = NhanhDelivery.of(body)
        owner = self._owner(store, delivery.business_id)
        if owner is None:
            outcome = _("it is of business {id}, which no store here has").format(id=delivery.business_id)
            arrivals = [_noted(arrival, outcome) for arrival in delivery.arrivals(store)[:1]]
        else:
            arrivals = delivery.arrivals(owner)
        await self._keep(stream, arrivals)

    async def take_shopify(
        self, store: StoreName, headers: Mapping[str, str], signature: str, body: bytes, sender: Address
    ) -> None:
        """Keep a delivery of Shopify.

        Raises Forged, UnreadableDelivery where it is not JSON, and NotStored where it should be sent again.
        """
        stream = StreamId(store, Source.SHOPIFY)
        if not self._verifier.is_of_shopify(store, signature, body):
            self.refuse(stream, sender)
        await self._keep(stream, read_shopify(store, DeliveryHeaders.of(headers), body))

    def refuse(self, stream: StreamId, sender: Address) -> None:
        """Count a delivery that is not rightly signed, and raise Forged."""
        if stream in self.streams:
            self.counts.refused[stream] += 1
        else:
            self.counts.of_strangers += 1
        self._refusals.note(sender)
        raise Forged

    def tell_refusals(self) -> None:
        """Log what has been refused since the last line about it, if that was long enough ago."""
        self._refusals.tell()

    def _owner(self, store: StoreName, business_id: int | None) -> StoreName | None:
        """The store that a delivery is for: the address may be that of another business of the same app."""
        known = self._businesses[store]
        if business_id is None or business_id == known.business_id:
            return store
        return self._store_of.get(replace(known, business_id=business_id))

    async def _keep(self, stream: StreamId, arrivals: Sequence[Arrival]) -> None:
        try:
            await self._writer.store([self._needed(arrival) for arrival in arrivals])
        except NotStored:
            if self._writer.has_begun:  # before, it is as if nobody listened: a start of minutes is no outage
                self.counts.turned_away[stream] += 1
            raise

    def _needed(self, arrival: Arrival) -> Arrival:
        """As it is where some job would take it; else it is noted."""
        concern = arrival.subject.concern
        if arrival.state is not EventState.WAITING or concern in self.concerns_of(arrival.store):
            return arrival
        return _noted(arrival, _WITHOUT_SYNC[concern]() if concern is not None else None)


_WITHOUT_SYNC = {
    Concern.PRODUCTS: lambda: _("nothing of this store's products is pushed"),
    Concern.CUSTOMERS: lambda: _("nothing of this store's customers is pushed"),
}


def _noted(arrival: Arrival, outcome: str | None) -> Arrival:
    is_understood = arrival.subject is not Subject.NOTHING
    return replace(
        arrival,
        state=EventState.NOTED,
        outcome=outcome,
        subject_ids=arrival.subject_ids if is_understood else (),
        hint=None,
        body=None,
    )


def _keys(secrets: ResolvedSecrets) -> Mapping[StreamId, bytes]:
    keys = {
        StreamId(name, source): secret
        for name, store in secrets.stores.items()
        for source, secret in (
            (Source.NHANH, store.nhanh_webhook_token),
            (Source.SHOPIFY, store.shopify_webhook_secret or store.shopify_client_secret),
        )
    }
    return {stream: _reveal(secret) for stream, secret in keys.items() if secret is not None}


def _reveal(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()
