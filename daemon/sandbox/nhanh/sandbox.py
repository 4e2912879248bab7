"""The account behind the sandbox's Nhanh.vn: its shop, who may call, and which quirks its answers have."""

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from daemon.sandbox.catalogue import Catalogue
from daemon.sandbox.faults import Faults
from daemon.sandbox.nhanh.cursor import Cursors
from daemon.sandbox.nhanh.limits import RateLimit
from daemon.sandbox.nhanh.records import NhanhCustomerRecord, NhanhProductRecord
from daemon.sandbox.nhanh.rendering import Spelling
from daemon.sandbox.nhanh.shop import NhanhShop
from daemon.sandbox.nhanh.webhooks import NhanhWebhooks

APP_ID = 73001
BUSINESS_ID = 110668
TOKEN = "sandbox-nhanh-access-token"  # noqa: S105 (opens nothing but the sandbox)
SECRET_KEY = "sandbox-nhanh-secret-key"  # noqa: S105
YEAR_SECONDS = 365 * 24 * 3600
PERMISSIONS = frozenset(
    {"business/depot", "product/list", "product/inventory", "product/detail", "product/combo", "customer/list"}
)

_LOG_SIZE = 200_000


@dataclass(slots=True)
class LoggedRequest:
    """One request as it arrived. `outcome` is "ok", an error code, "HTTP 404", or a fault's name."""

    at: float  # Unix seconds
    path: str  # such as "customer/list"
    outcome: str


class NhanhSandbox(NhanhShop):
    """A Nhanh.vn account to change in process; `daemon.sandbox.nhanh.application` lets it be called over HTTP.

    Args:
        catalogue: what the shop starts with.
        seed: of all quirks and random changes.
        limits: whether the rate limit holds.
        quirks: whether `next` changes shape, pages come short or empty, and numbers and nulls vary in form.
        faults: what goes wrong.
        business_id: the number of the business.
        clock: Unix seconds.

    `webhooks` are those of its app.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        seed: int = 7,
        limits: bool = True,
        quirks: bool = True,
        faults: Faults | None = None,
        clock_offset: float = 0.0,
        business_id: int = BUSINESS_ID,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock_offset = clock_offset
        super().__init__(catalogue, seed=seed, clock=lambda: clock() + self.clock_offset)
        self.app_id = APP_ID
        self.business_id = business_id
        self.token = TOKEN
        self.secret_key = SECRET_KEY
        self.token_version = "3.0"  # noqa: S105 ("2.0": made for the older API, refused)
        self.expires_at = int(clock()) + YEAR_SECONDS
        self.superseded: dict[str, float] = {}  # tokens that have a successor, and when they end
        self.codes: dict[str, float] = {}  # access codes that were not used yet, and when they were made
        self.redirect_urls: set[str] = set()  # to which the code may be sent; empty: any
        self.permissions = set(PERMISSIONS)
        self.business_enabled = True
        self.limits = limits
        self.quirks = quirks
        self.faults = faults or Faults()
        self.requests: deque[LoggedRequest] = deque(maxlen=_LOG_SIZE)
        self.seed = seed
        self.cursors = Cursors(seed)
        self._cursors_voided = 0
        self._spelling = Spelling(seed, quirks)
        self.rate_limit = RateLimit()
        self.webhooks = NhanhWebhooks(self, lambda: self._spelling, lambda: self.business_id)

    @property
    def spelling(self) -> Spelling:
        """How rows are written at present."""
        return self._spelling

    @property
    def depot_ids(self) -> frozenset[int]:
        """The depots that the token may see; empty for all. Others do not count in any stock."""
        return self._spelling.depot_ids

    @depot_ids.setter
    def depot_ids(self, depot_ids: Iterable[int]) -> None:
        self._spelling = Spelling(self.seed, self.quirks, frozenset(depot_ids))
        self.products.forget_rendered()

    @property
    def outcomes(self) -> Counter[tuple[str, str]]:
        """How many logged requests there were of each (path, outcome)."""
        return Counter((request.path, request.outcome) for request in self.requests)

    def prerender(self) -> None:
        """Render every row now, so that a benchmark does not wait for it later."""
        self.products.rendered(self.products, self.product_json)
        self.customers.rendered(self.customers, self.customer_json)

    def product_json(self, product: NhanhProductRecord) -> bytes:
        """A row of product/list. Not by orjson, whose results hold on to some 8 kB each when they are kept."""
        return msgspec.json.encode(self._spelling.product(product))

    def customer_json(self, customer: NhanhCustomerRecord) -> bytes:
        """A row of customer/list."""
        return msgspec.json.encode(self._spelling.customer(customer))

    def void_cursors(self) -> None:
        """Refuse every `next` that was given out so far."""
        self._cursors_voided += 1
        self.cursors = Cursors(self.seed + self._cursors_voided)

    def new_code(self) -> str:
        """An access code, as somebody who agrees gets it."""
        code = secrets.token_urlsafe(32)
        self.codes[code] = self.clock()
        return code
