"""Sends webhooks at a fixed rate, whatever the answers take, in a process of its own.

`python tests/bench/webhook_sender.py HOST PORT RATE SECONDS TOKEN SECRET` prints one JSON object: how many answers of
each status came, and the milliseconds from when each delivery was due to the end of its answer. One that waits for its
turn is late for whoever sent it, so its wait counts.
"""

import asyncio
import base64
import hmac
import sys
import time
from collections import Counter
from itertools import count

import orjson
import uvloop

CONNECTIONS = 100  # as of a proxy in front of it
PRODUCTS = 500
REPEATED = 20  # of so many deliveries of Shopify one is sent twice
LATENESS = 0.0005  # seconds before its time from which a delivery is sent rather than waited for


class Sender:
    """Deliveries over connections that stay open."""

    def __init__(self, host: str, port: int, token: str, secret: str) -> None:
        self._host, self._port = host, port
        self._token, self._secret = token, secret
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
        self._numbers = count(1)
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []

    async def connect(self) -> None:
        """Open all connections."""
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection(self._host, self._port))

    async def send(self, due: float) -> None:
        """Send one at its time, of either side by turns."""
        request = self._request(next(self._numbers))
        reader, writer = await self._free.get()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            self.statuses[head.split(b" ", 2)[1].decode()] += 1
        finally:
            self.latencies.append((time.perf_counter() - due) * 1000)
            self._free.put_nowait((reader, writer))

    def _request(self, number: int) -> bytes:
        product = number % PRODUCTS + 1
        if number % 2:
            body = orjson.dumps({"event": "inventoryChange", "businessId": 110668, "data": _stock(product)})
            return _post(self._host, "nhanh", body, {"Authorization": self._token})
        body = orjson.dumps({"inventory_item_id": product, "location_id": 1, "available": number, "updated_at": None})
        signature = base64.b64encode(hmac.digest(self._secret.encode(), body, "sha256")).decode()
        delivery = number - 2 if number % (2 * REPEATED) == 0 else number
        return _post(
            self._host,
            "shopify",
            body,
            {
                "X-Shopify-Topic": "inventory_levels/update",
                "X-Shopify-Hmac-Sha256": signature,
                "X-Shopify-Webhook-Id": f"bench-{delivery}",
            },
        )


def _stock(product: int) -> list[dict[str, object]]:
    """A row as Nhanh.vn sends it: some 1,500 bytes."""
    figures = dict.fromkeys(("remain", "shipping", "damaged", "holding", "transfering", "available"), 12.0)
    return [{"id": product, "code": f"SKU-{product}", **figures, "depots": [{"id": n, **figures} for n in range(9)]}]


def _post(host: str, side: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST /webhooks/{side}/main HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def run(host: str, port: int, rate: float, seconds: float, token: str, secret: str) -> None:
    """Send, and print what came of it."""
    sender = Sender(host, port, token, secret)
    await sender.connect()
    began = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as tasks:
        for place in range(round(rate * seconds)):
            due = began + place / rate
            while (left := due - time.perf_counter()) > LATENESS:
                await asyncio.sleep(left)
            tasks.create_task(sender.send(due), name="delivery")
    print(orjson.dumps({"statuses": sender.statuses, "latencies": sender.latencies}).decode())  # noqa: T201


if __name__ == "__main__":
    HOST, PORT, RATE, SECONDS, TOKEN, SECRET = sys.argv[1:]
    uvloop.run(run(HOST, int(PORT), float(RATE), float(SECONDS), TOKEN, SECRET))
