"""Deliveries as Nhanh.vn and Shopify send them, and a listener to send them to."""

import base64
import hashlib
import hmac
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from daemon.config import ResolvedSecrets, Settings, StoreSecrets
from daemon.database.pool import Database
from daemon.webhooks.counts import DeliveryCounts
from daemon.webhooks.intake import Intake
from daemon.webhooks.listener import listening_for_webhooks
from daemon.webhooks.writer import InboxWriter

TOKEN = "0123456789abcdef0123456789abcdef"
SECRET = "shpss_hush"
NHANH = {"app_id": 1, "business_id": 64692, "access_token": {"env": "A"}, "secret_key": {"env": "B"}}
SHOPIFY = {"shop": "my-shop", "client_id": "0123456789abcdef0123456789abcdef", "client_secret": {"env": "C"}}
STORE = {
    "nhanh": NHANH,
    "shopify": SHOPIFY,
    "product_sync": {"price": "retail"},
    "customer_sync": {},
}
STORES = {"main": STORE, "second": {**STORE, "nhanh": {**NHANH, "business_id": 7}}}
SECRETS = StoreSecrets(nhanh_webhook_token=SecretStr(TOKEN), shopify_client_secret=SecretStr(SECRET))


def webhook_settings(stores: dict[str, Any] = STORES, **webhooks: Any) -> Settings:
    """Two stores of one app of Nhanh.vn, unless said otherwise."""
    return Settings.model_validate({"stores": stores, "webhooks": {"listen": "127.0.0.1:0", **webhooks}})


def webhook_secrets(settings: Settings, secrets: StoreSecrets = SECRETS) -> ResolvedSecrets:
    """The same for every store."""
    return ResolvedSecrets(None, None, dict.fromkeys(settings.stores, secrets))


def signature(body: bytes, secret: str = SECRET) -> str:
    """As Shopify signs."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@dataclass
class Sender:
    """Sends deliveries to a listener, by one session."""

    url: str
    session: aiohttp.ClientSession
    business: int = 64692

    async def nhanh(
        self,
        event: str,
        data: object = None,
        *,
        store: str = "main",
        token: str | None = TOKEN,
        business: int | None = None,
    ) -> int:
        """What a delivery of Nhanh.vn is answered with."""
        body = orjson.dumps({"event": event, "businessId": business or self.business, "data": data})
        headers = {} if token is None else {"Authorization": token}
        return await self.send(f"/webhooks/nhanh/{store}", body, headers)

    async def shopify(
        self, topic: str, document: object, *, store: str = "main", event_id: str = "1", secret: str = SECRET
    ) -> int:
        """What a delivery of Shopify is answered with."""
        body = orjson.dumps(document)
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-SHA256": signature(body, secret),
            "X-Shopify-Webhook-Id": event_id,
            "X-Shopify-Triggered-At": "2026-10-03T05:11:57.123456789Z",
        }
        return await self.send(f"/webhooks/shopify/{store}", body, headers)

    async def send(self, path: str, body: Any, headers: dict[str, str], method: str = "POST") -> int:
        """What anything is answered with."""
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.session.request(method, self.url + path, data=data, headers=headers) as answer:
            return answer.status


@dataclass
class Listening:
    """A listener at work."""

    intake: Intake
    writer: InboxWriter
    counts: DeliveryCounts
    sender: Sender
    settings: Settings
    address: str

    def configure(self, stores: dict[str, Any]) -> None:
        """Let it know other stores."""
        settings = webhook_settings(stores)
        self.intake.use(settings, webhook_secrets(settings))


@asynccontextmanager
async def listening(database: Database, **webhooks: Any) -> AsyncIterator[Listening]:
    """A listener for STORES with a writer that runs; the keyword arguments are keys of `[webhooks]`."""
    settings = webhook_settings(**webhooks)
    counts = DeliveryCounts()
    writer = InboxWriter(database, counts)
    intake = Intake(writer, counts)
    intake.use(settings, webhook_secrets(settings))
    assert settings.webhooks is not None
    async with (
        writer,
        listening_for_webhooks(intake, settings.webhooks) as address,
        aiohttp.ClientSession() as session,
    ):
        yield Listening(intake, writer, counts, Sender(address.rstrip("/"), session), settings, address)
