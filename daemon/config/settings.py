"""Everything that a configuration file may say: one frozen model per table, each key with its meaning and its limits.

The models check what can be judged inside one table; whether a schedule's store exists is for
`daemon.config.references`. A key that is a length of time carries its unit in its name.
"""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from daemon.config.address import (
    ListenAddress,
    check_base_url,
    is_address_of_peer,
    is_everybody,
    origins_of,
    parse_listen,
)
from daemon.config.alerts import AlertSettings, HeartbeatSettings
from daemon.config.fields import (
    HEADER_PATTERN,
    HOST_PATTERN,
    LOCATION_PATTERN,
    METAFIELD_PATTERN,
    NAME_PATTERN,
    TIER_PATTERN,
    BaseUrl,
    DatabaseUrl,
    Person,
    SecretRef,
    Section,
    TimeZone,
    quote_dates,
)
from daemon.config.rules import MOST_RULES, Quantity, RuleSettings
from daemon.config.sales import SaleSettings
from daemon.config.shopify_names import check_client_id, read_shop
from daemon.config.webhooks import WebhookSettings
from daemon.config.zones import doubt
from daemon.i18n import Language
from daemon.ids import ScheduleName, StoreName
from daemon.jobs.steering import Role
from daemon.jobs.types import JOB_TYPES, JobType, PullMethod
from daemon.schedules.cron import parse as parse_cron

LARGEST_ID = 2**63 - 1  # bigint
LocationId = Annotated[str, Field(pattern=LOCATION_PATTERN)]  # keys are text in TOML
DepotId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
WHOLE = 100  # percent


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f'"{path}" must be an absolute path')
    return path


class DatabaseSettings(Section):
    """The PostgreSQL server, 14 or newer."""

    url: DatabaseUrl | None = Field(
        default=None, description="postgresql:// address, or where it is kept; without it, the embedded server."
    )
    listen_url: DatabaseUrl | None = Field(
        default=None,
        description="The same database past a pooler such as PgBouncer that `url` leads to, for those who listen.",
    )
    read_url: DatabaseUrl | None = Field(
        default=None, description="A streaming replica of it, from which the page's larger reads are served."
    )
    max_connections: int = Field(
        default=16, ge=8, le=500, description="Most connections to it: the one pool, and those who listen."
    )
    statement_timeout_seconds: float = Field(
        default=30, ge=1, le=3600, description="After which PostgreSQL ends a statement."
    )

    @field_validator("listen_url", "read_url")
    @classmethod
    def _beside_a_url(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and "url" in info.data and info.data["url"] is None:
            raise ValueError("goes with url only: the embedded server has no other address")
        return value


class BackupSettings(Section):
    """What becomes of the backups that jobs make."""

    directory: Annotated[Path, AfterValidator(_check_absolute)] | None = Field(
        default=None,
        strict=False,
        description="Where they are kept; without it, the folder `backups` of the state directory.",
    )
    keep: int = Field(default=7, ge=1, le=10_000, description="How many are kept there, the newest.")


class StatusTokenSettings(Section):
    """A token of the endpoint by which somebody is known."""

    name: Person = Field(description="Of the person, or of the program, that has it; shown with whatever they do.")
    token: SecretRef = Field(description="Where the token is kept: at least 16 characters, and no other's.")
    role: Annotated[Role, Field(strict=False)] = Field(
        description='"read": everything but what changes anything; "operate": all.'
    )


# What a header may not be in which a proxy names its user: these say something else already.
OTHER_HEADERS = frozenset(
    {
        *("accept", "accept-language", "authorization", "connection", "content-length", "content-type", "cookie"),
        *("expect", "host", "origin", "referer", "transfer-encoding", "upgrade", "user-agent", "x-dongbo-client"),
        *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "x-forwarded-for", "x-forwarded-host"),
    }
)


class StatusSettings(Section):
    """The endpoint with the job page, the API and the probes."""

    token: SecretRef | None = Field(
        default=None,
        description="Bearer token without a name, which may operate; one is required beyond this machine.",
    )
    tokens: tuple[StatusTokenSettings, ...] = Field(
        default=(), strict=False, description="Tokens by name: who has which, and what they may ask for."
    )
    user_header: str | None = Field(
        default=None,
        pattern=HEADER_PATTERN,
        description='Header in which a trusted proxy names its user, such as "X-Remote-User".',
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        strict=False,
        validate_default=True,
        description='The only peers whose user_header is heeded: IP addresses, networks, or "unix" for whoever may open'
        " the Unix socket.",
    )
    operators: tuple[Person, ...] = Field(
        default=(),
        strict=False,
        description='Users of the proxy who may operate, by name; "*" for all of them. The others may read.',
    )
    listen: str = Field(
        default="127.0.0.1:8765", description='"host:port" (port 0: any free one), "[IPv6]:port" or "unix:/path".'
    )
    allowed_hosts: tuple[Annotated[str, Field(pattern=HOST_PATTERN)], ...] = Field(
        default=(),
        strict=False,
        description="Further names under which it is reached, such as that of a reverse proxy: a host name (http or"
        " https on the default port), or an origin, such as https://dongbo.example.com:8443.",
    )

    @field_validator("listen")
    @classmethod
    def _refuse_open_door(cls, listen: str, info: ValidationInfo) -> str:
        # A key that was refused is no key that lacks: its own problem is told of, and this one might not be there.
        guards = [info.data.get(key, ...) for key in ("token", "tokens", "user_header")]
        if not parse_listen(listen).is_loopback and not any(guards):
            raise ValueError(
                f'"{listen}" is reachable from other machines: add token = {{ credential = "status-token" }},'
                " or listen on 127.0.0.1"
            )
        return listen

    @field_validator("user_header")
    @classmethod
    def _refuse_headers_of_others(cls, header: str | None) -> str | None:
        if header is not None and header.lower() in OTHER_HEADERS:
            raise ValueError(f'"{header}" says something else already: have the proxy name its user in another header')
        return header

    @field_validator("trusted_proxies")
    @classmethod
    def _join_header_and_proxies(cls, proxies: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for proxy in proxies:
            if not is_address_of_peer(proxy):
                raise ValueError(f'"{proxy}" is not an IP address, a network such as 10.0.0.0/24, or "unix"')
            if is_everybody(proxy):
                raise ValueError(f'"{proxy}" is everybody, who could then claim to be any user: name the proxy alone')
        header = info.data.get("user_header", ...)
        if header is None and proxies:
            raise ValueError("needs user_header, the header in which the proxy names its user")
        if isinstance(header, str) and not proxies:
            raise ValueError(f'say whose {header} can be trusted: the proxy\'s address, or "unix"')
        return proxies

    @field_validator("operators")
    @classmethod
    def _refuse_operators_of_nothing(cls, operators: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if operators and info.data.get("user_header", ...) is None:
            raise ValueError("needs user_header: these are users of a proxy; those of a token have their role there")
        return operators

    @field_validator("allowed_hosts")
    @classmethod
    def _refuse_unreadable_hosts(cls, allowed_hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in allowed_hosts:
            if not origins_of(host):
                raise ValueError(f'"{host}" is not a valid origin: unreadable address, or a port above 65535')
        return allowed_hosts

    @property
    def address(self) -> ListenAddress:
        """`listen`, read."""
        return parse_listen(self.listen)


class JobSettings(Section):
    """How jobs run, are retried and are kept."""

    retention_days: int = Field(default=30, ge=1, le=3650, description="How long ended jobs are kept.")
    max_attempts: int = Field(
        default=5, ge=1, le=100, description="Runs in a row without progress after which a job fails."
    )
    retry_backoff_seconds: float = Field(
        default=5, ge=0.1, le=3600, description="Wait before the first retry; then doubles."
    )
    retry_backoff_max_seconds: float = Field(
        default=300, ge=0.1, le=86400, validate_default=True, description="The longest wait before a retry."
    )
    stop_grace_seconds: float = Field(default=25, ge=0, le=600, description="How long a stop waits for running jobs.")
    event_interval_milliseconds: int = Field(
        default=250, ge=10, le=10_000, description="Least time between events of one job."
    )
    implausible_deletion_share: float = Field(
        default=0.2, ge=0, le=1, description="A pull that would delete more than this share of a table stops and asks."
    )
    implausible_deletion_minimum: int = Field(
        default=50, ge=0, description="Fewer deletions than this never stop a pull."
    )
    checkpoint_max_age_hours: float = Field(
        default=24, gt=0, le=720, description="Age from which a checkpoint is not resumed."
    )

    @field_validator("retry_backoff_max_seconds")
    @classmethod
    def _not_below_the_first(cls, longest: float, info: ValidationInfo) -> float:
        first = info.data.get("retry_backoff_seconds", 0)
        if longest < first:
            raise ValueError(
                f"the longest wait ({longest:g}) is shorter than the first (retry_backoff_seconds = {first:g})"
            )
        return longest


class LogSettings(Section):
    """What is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important level shown."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on terminals, else json."
    )


class NhanhSettings(Section):
    """A Nhanh.vn business, reached through Open API v3.0."""

    app_id: int = Field(ge=1, le=LARGEST_ID, description="The app's number on open.nhanh.vn.")
    business_id: int = Field(ge=1, le=LARGEST_ID, description="The business's number.")
    access_token: SecretRef = Field(description="Where the access token is kept.")
    secret_key: SecretRef | None = Field(
        default=None, description="Where the app's secret key is kept; to check the token, and needed to push stock."
    )
    webhook_token: SecretRef | None = Field(
        default=None, description="Where the app's webhooks verify token is kept: only who shows it is listened to."
    )
    currency: str = Field(
        default="VND",
        pattern=r"^[A-Z]{3}$",
        description="The currency of its prices and totals (ISO 4217): nothing is pushed to a shop in another one.",
    )
    base_url: BaseUrl = Field(default="https://pos.open.nhanh.vn", description="Address of the API.")


class ShopifySettings(Section):
    """A Shopify store, reached through the Admin GraphQL API."""

    shop: Annotated[str, AfterValidator(read_shop)] = Field(
        description='The store\'s handle: "my-shop" of my-shop.myshopify.com.'
    )
    client_id: Annotated[str, AfterValidator(check_client_id)] | None = Field(
        default=None, description="The client id of an app of the Dev Dashboard; along with client_secret."
    )
    client_secret: SecretRef | None = Field(default=None, description="Where the client secret of that app is kept.")
    access_token: SecretRef | None = Field(
        default=None,
        description="Instead of both: where the access token of an app is kept that was made in the admin before 2026.",
    )
    webhook_secret: SecretRef | None = Field(
        default=None, description="Where the secret is kept that webhooks are signed with, if not by client_secret."
    )
    base_url: BaseUrl | None = Field(default=None, description="Address of the API.")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        has_pair = self.client_id is not None or self.client_secret is not None
        if has_pair and self.access_token is not None:
            raise ValueError(
                "two ways to sign in: keep client_id and client_secret, or access_token (of an app that was made in the"
                " admin before 2026), not both"
            )
        if not has_pair and self.access_token is None:
            raise ValueError(
                "how to sign in is missing: run `dongbo connect shopify`, or add client_id and client_secret of your"
                " app in the Dev Dashboard"
            )
        if has_pair and (self.client_id is None or self.client_secret is None):
            missing = "client_id" if self.client_id is None else "client_secret"
            raise ValueError(f"client_id and client_secret go together: add {missing}, or run `dongbo connect shopify`")
        return self

    @property
    def url(self) -> str:
        """`base_url`, or Shopify's own address of the shop; without a trailing slash."""
        return self.base_url or f"https://{self.shop}.myshopify.com"


class ProductSyncSettings(Section):
    """What of the products goes from Nhanh.vn to Shopify, and when a person is asked first."""

    locations: dict[LocationId, Annotated[tuple[DepotId, ...], Field(strict=False)]] = Field(
        default={},
        description="Shopify location id = [Nhanh.vn depot ids]: the depots of one location add up.",
        examples=[{"68000032768": [110001, 110002]}],
    )
    stock_figure: Literal["available", "remain"] = Field(
        default="available", description="Which stock of Nhanh.vn: without what is reserved, or all that is there."
    )
    quantity: Literal["available", "on_hand"] = Field(
        default="available",
        description="Which quantity of Shopify it becomes: what can be bought, or all that lies there, off which "
        "Shopify itself takes what its open orders have committed.",
    )
    price: Literal["retail", "wholesale"] | None = Field(
        default=None, description="Which price of Nhanh.vn becomes the price; without it, prices are left alone."
    )
    compare_at_price: Literal["old"] | None = Field(
        default=None,
        description="Nhanh.vn's old price becomes the compare-at price where it is higher than the price.",
    )
    reserve: Quantity = Field(default=0, description="Pieces that are held back at each location: a safety stock.")
    maximum: Quantity | None = Field(default=None, description="The most that a location gets; without it, all.")
    shares: dict[LocationId, Annotated[int, Field(ge=0, le=100)]] = Field(
        default={},
        description="Shopify location id = percent of the depots' stock that it gets; the others get all.",
        examples=[{"68000032768": 80}],
    )
    rules: SkipJsonSchema[tuple[RuleSettings, ...]] = Field(
        default=(), strict=False, description="The store's rules, as `StoreSettings.ruled_product_sync` has them."
    )
    max_zeroed: int = Field(
        default=50,
        ge=0,
        description="A sync that would bring the items set to zero unasked within 24 hours to more stops and asks.",
    )
    large_price_change: float = Field(
        default=0.3, gt=0, le=1, description="Share of the present price from which a change counts as large."
    )
    max_large_price_changes: int = Field(
        default=20,
        ge=0,
        description="A sync that would bring large price changes within 24 hours to more than this stops and asks.",
    )

    @field_validator("locations")
    @classmethod
    def _depots_count_once(cls, locations: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        seen: dict[int, str] = {}
        for location, depots in locations.items():
            if not depots:
                raise ValueError(f"location {location} has no depots: name some, or leave it out")
            for depot in depots:
                if depot in seen:
                    raise ValueError(f"depot {depot} stands for location {seen[depot]} already: it would count twice")
                seen[depot] = location
        return locations

    @field_validator("shares")
    @classmethod
    def _shares_of_what_is_there(cls, shares: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        locations = info.data.get("locations", shares)
        for location in shares:
            if location not in locations:
                raise ValueError(f"location {location} gets no stock at all: name its depots in locations")
        return shares

    @model_validator(mode="after")
    def _require_something(self) -> Self:
        if not self.locations and self.price is None and self.compare_at_price is None:
            raise ValueError("it says nothing to sync: add locations, price or compare_at_price")
        return self

    @property
    def depots_of(self) -> dict[int, tuple[int, ...]]:
        """The depots of each location, by its id."""
        return {int(location): depots for location, depots in self.locations.items()}

    @property
    def share_of(self) -> dict[int, int]:
        """The share of each location that does not get all, in percent, by its id."""
        return {int(location): share for location, share in self.shares.items() if share < WHOLE}


class TierSettings(Section):
    """A tier that customers reach."""

    name: str = Field(pattern=TIER_PATTERN, description="Its name, which is the tag, too.")
    threshold: Annotated[int, Field(ge=0, le=10**15)] = Field(
        alias="from", description="Total spent from which a customer belongs to it, in the shop's currency."
    )


# The tiers of the system that this one replaces, in VND.
DEFAULT_TIERS = tuple(
    TierSettings.model_validate({"name": name, "from": millions * 1_000_000})
    for name, millions in (
        ("MEMBER", 0),
        ("SILVER", 3),
        ("GOLD", 6),
        ("PLATINUM", 10),
        ("DIAMOND", 20),
        ("BLACK_DIAMOND", 100),
    )
)


class CustomerSyncSettings(Section):
    """What of the customers goes from Nhanh.vn to Shopify."""

    total_spent: str = Field(
        default="custom.total_spent",
        pattern=METAFIELD_PATTERN,
        description="The customer metafield (namespace.key) that gets the total spent.",
    )
    tier: str | None = Field(
        default=None,
        pattern=METAFIELD_PATTERN,
        description="The customer metafield (namespace.key) that gets the tier's name.",
    )
    tier_tags: bool = Field(default=True, description="Whether a customer is tagged with the tier's name.")
    minimum_change: int = Field(
        default=1000, ge=0, description="Smaller changes of the total are left alone, unless the tier changes."
    )
    phones_in_notes: bool = Field(
        default=False, description="Whether customers are also matched by phone numbers in their notes."
    )
    tiers: Annotated[tuple[TierSettings, ...], Field(strict=False)] = Field(
        default=DEFAULT_TIERS, description="The tiers, lowest first."
    )

    @field_validator("tiers")
    @classmethod
    def _in_order(cls, tiers: tuple[TierSettings, ...]) -> tuple[TierSettings, ...]:
        for lower, higher in pairwise(tiers):
            if higher.threshold <= lower.threshold:
                raise ValueError(f'tiers go from low to high, but "{higher.name}" does not lie above "{lower.name}"')
        if len({tier.name.casefold() for tier in tiers}) < len(tiers):
            raise ValueError("two tiers have the same name; Shopify's tags know no upper and lower case")
        return tiers

    @field_validator("tier")
    @classmethod
    def _not_the_total(cls, tier: str | None, info: ValidationInfo) -> str | None:
        if tier is not None and tier == info.data.get("total_spent"):
            raise ValueError(f"{tier} is the metafield of the total spent already")
        return tier


class StoreSettings(Section):
    """One business: its Nhanh.vn point of sale, its Shopify store, or both."""

    nhanh: NhanhSettings | None = Field(default=None, description="The point of sale.")
    shopify: ShopifySettings | None = Field(default=None, description="The web shop.")
    product_sync: ProductSyncSettings | None = Field(
        default=None, description="What of the products goes to Shopify; without it, nothing is pushed."
    )
    customer_sync: CustomerSyncSettings | None = Field(
        default=None, description="What of the customers goes to Shopify; without it, nothing is pushed."
    )
    rules: tuple[RuleSettings, ...] = Field(
        default=(), strict=False, max_length=MOST_RULES, description="What a product sync does otherwise, and where."
    )

    @field_validator("product_sync")
    @classmethod
    def _rules_stand_beside_it(cls, sync: ProductSyncSettings | None) -> ProductSyncSettings | None:
        if sync is not None and sync.rules:
            raise ValueError("has no rules of its own: write them as [[stores.NAME.rules]]")
        return sync

    @field_validator("rules")
    @classmethod
    def _rules_have_an_object(cls, rules: tuple[RuleSettings, ...], info: ValidationInfo) -> tuple[RuleSettings, ...]:
        if not rules or "product_sync" not in info.data:  # where it is wrong, it has its own problem
            return rules
        sync: ProductSyncSettings | None = info.data["product_sync"]
        if sync is None:
            raise ValueError("need something to sync: add a table .product_sync to the store")
        for rule in rules:
            if rule.when.price is not None and sync.price is None:
                raise ValueError(f'"{rule.name}" goes by the price that a sync would set: add product_sync.price')
            if rule.hold_price and sync.price is None and sync.compare_at_price is None:
                raise ValueError(f'"{rule.name}" would hold prices that no sync sets: leave out hold_price')
            on_stock = rule.when.stock or rule.reserve is not None or rule.maximum is not None
            if on_stock and not sync.locations:
                raise ValueError(f'"{rule.name}" is about stock, which no sync sets: add product_sync.locations')
        return rules

    @model_validator(mode="after")
    def _require_a_source(self) -> Self:
        if self.nhanh is None and self.shopify is None:
            raise ValueError("a store without a source does nothing: add a table .nhanh or .shopify to it")
        return self

    @model_validator(mode="after")
    def _see_all_depots(self) -> Self:
        pushes_stock = self.product_sync is not None and self.product_sync.locations
        if pushes_stock and self.nhanh is not None and self.nhanh.secret_key is None:
            raise ValueError(
                "to push stock, nhanh.secret_key is needed: only with it Nhanh.vn tells whether the access token may "
                "see all depots, and one that it can't see would look like no stock"
            )
        return self

    @property
    def ruled_product_sync(self) -> ProductSyncSettings | None:
        """`product_sync` with the rules: all that decides what a product sync pushes."""
        return self.product_sync and self.product_sync.model_copy(update={"rules": self.rules})


class JobParams(Section):
    """What a scheduled job is asked for."""

    dry_run: bool = Field(default=False, description="Of matching and syncing: only say what would be done.")
    full: bool = Field(default=False, description="Pull everything, not only what changed, and find deletions.")
    filters: Annotated[dict[str, JsonValue], BeforeValidator(quote_dates)] | None = Field(
        default=None, description="Filters of a pull from Nhanh.vn; of PULL_SHOPIFY_PRODUCTS: status."
    )
    query: str | None = Field(default=None, min_length=1, description="Search query of a Shopify pull.")
    method: Annotated[PullMethod, Field(strict=False)] = Field(
        default=PullMethod.AUTO,
        description="Of a pull of everything from Shopify: by pages, by a bulk operation, or by whichever is faster.",
    )
    ids: Annotated[tuple[int, ...], Field(strict=False)] | None = Field(
        default=None, description="Of a pull: just the rows with these ids. Of SYNC_CUSTOMERS: customers of Shopify."
    )
    skus: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None, description="Of SYNC_PRODUCTS: just the variants with these SKUs, read now at both sides."
    )
    variants: Annotated[tuple[int, ...], Field(strict=False)] | None = Field(
        default=None, description="Of SYNC_PRODUCTS: just these variants of Shopify, by their ids."
    )
    customers: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None, description="Of SYNC_CUSTOMERS: just the customers with these phone numbers."
    )

    def to_json(self) -> dict[str, Any]:
        """The `params` of the job: only what was asked for."""
        return self.model_dump(mode="json", exclude_defaults=True)


class _ScheduleBase(Section):
    """What schedules of every kind have."""

    name: Annotated[ScheduleName, Field(pattern=NAME_PATTERN)] = Field(description="Its name, unique in the file.")
    store: Annotated[StoreName, Field(pattern=NAME_PATTERN)] = Field(
        description="The store of this file that it is for."
    )
    timezone: TimeZone | None = Field(default=None, description="IANA time zone, where it is not that of the file.")
    misfire: Literal["once", "skip"] = Field(
        default="once", description="Fires missed while no daemon ran: made up once, or skipped."
    )
    fresh_within_minutes: int | None = Field(
        default=None,
        ge=1,
        le=527_040,
        description="How old its data may be before it is late; by default its fires and usual duration say so.",
    )

    @property
    def fresh_within(self) -> timedelta | None:
        """How old its data may be before it is late; None: as its fires and the usual duration of its job say."""
        return None if self.fresh_within_minutes is None else timedelta(minutes=self.fresh_within_minutes)

    def refuse_words_on_fires(self) -> None:
        """Raises ValueError where a preset says something about fires, of which it has none."""
        said = [key for key in ("timezone", "misfire") if key in self.model_fields_set]
        if said:
            raise ValueError(
                f"without a timetable this is a preset, which only a person starts: add cron, or leave out"
                f" {' and '.join(said)}"
            )


class CronSchedule(_ScheduleBase):
    """A job on a cron expression; or without one a preset, a job with its parameters that a person starts by name."""

    kind: Literal["cron"] = Field(description='The kind of schedule: "cron".')
    cron: str | None = Field(
        default=None,
        description="Minute, hour, day of month, month, weekday (0-7, both Sunday) as in crontab(5); without it, a"
        " preset that only a person starts.",
        examples=["0 2 * * *", "*/15 8-22 * * MON-SAT"],
    )
    job: JobType = Field(strict=False, description="The job that it starts.")
    params: JobParams = Field(default=JobParams(), description="What it asks of the job.")

    @field_validator("cron")
    @classmethod
    def _must_fire(cls, cron: str | None) -> str | None:
        if cron is not None:
            parse_cron(cron)
        return cron

    @model_validator(mode="after")
    def _preset_has_no_fires(self) -> Self:
        if self.cron is None:
            self.refuse_words_on_fires()
        return self

    @field_validator("params")
    @classmethod
    def _fit_the_source(cls, params: JobParams, info: ValidationInfo) -> JobParams:
        job = info.data.get("job")
        if job is None:  # which has its own problem
            return params
        if params.filters is not None and "filters" not in JOB_TYPES[job].narrowed_by:
            raise ValueError(f"{job} takes no filters; a pull from Shopify takes a query")
        if params.query is not None and "query" not in JOB_TYPES[job].narrowed_by:
            raise ValueError("a query is for pulls from Shopify; a pull from Nhanh.vn takes filters")
        if params.method is not PullMethod.AUTO and "query" not in JOB_TYPES[job].narrowed_by:
            raise ValueError(f"{job} takes no method; it is for pulls from Shopify")
        for name in ("ids", "skus", "variants", "customers"):
            if getattr(params, name) is not None and name not in JOB_TYPES[job].named_by:
                raise ValueError(f"{job} takes no {name}")
        return params

    @property
    def expression(self) -> str:
        """When it fires; "" of a preset."""
        return self.cron or ""

    def to_params(self) -> dict[str, Any]:
        """The `params` of its job."""
        return self.params.to_json()


class ProductSchedule(_ScheduleBase):
    """The product chain of a store: pull (the products and) the stock, match, push what differs; or a preset of it."""

    kind: Literal["product"] = Field(description='The kind of schedule: "product".')
    cron: str | None = Field(
        default=None,
        description="As of a cron schedule; or every_minutes. Without both, a preset.",
    )
    every_minutes: int | None = Field(
        default=None, ge=1, le=1440, description="Fires at multiples of so many minutes since midnight UTC."
    )
    pull_products: bool = Field(
        default=True,
        description="Also pull what changed in the products of both sides: new ones, prices, stock sold at Shopify.",
    )

    @field_validator("cron")
    @classmethod
    def _must_fire(cls, cron: str | None) -> str | None:
        if cron is not None:
            parse_cron(cron)
        return cron

    @model_validator(mode="after")
    def _one_timetable(self) -> Self:
        if self.cron is not None and self.every_minutes is not None:
            raise ValueError("say either cron or every_minutes")
        if not self.expression:
            self.refuse_words_on_fires()
        return self

    @property
    def job(self) -> JobType:
        """The job that it starts."""
        return JobType.PRODUCT_CHAIN

    @property
    def expression(self) -> str:
        """When it fires; "" of a preset."""
        if self.every_minutes is not None:
            return f"every {self.every_minutes} min"
        return self.cron or ""

    def to_params(self) -> dict[str, Any]:
        """The `params` of its job."""
        return {"pull_products": self.pull_products}


# A further kind is one more class with its own `kind`.
Schedule = Annotated[CronSchedule | ProductSchedule, Field(discriminator="kind")]


class Settings(Section):
    """The whole file."""

    timezone: TimeZone = Field(
        default=ZoneInfo("Asia/Ho_Chi_Minh"),
        description="IANA time zone of the shop: of the schedules, and of times shown.",
    )
    language: Annotated[Language, Field(strict=False)] = Field(
        default=Language.ENGLISH, description="What the daemon writes and sends is in this language."
    )
    database: DatabaseSettings = Field(default=DatabaseSettings(), description="Where everything is kept.")
    backup: BackupSettings = Field(default=BackupSettings(), description="What becomes of backups.")
    status: StatusSettings = Field(default=StatusSettings(), description="The status endpoint.")
    webhooks: WebhookSettings | None = Field(
        default=None, description="Where webhooks are listened for; without this table, nowhere."
    )
    jobs: JobSettings = Field(default=JobSettings(), description="How jobs run.")
    log: LogSettings = Field(default=LogSettings(), description="The daemon's log.")
    stores: dict[Annotated[StoreName, Field(pattern=NAME_PATTERN)], StoreSettings] = Field(
        default={}, description="The businesses, by a name of your choice."
    )
    schedules: tuple[Schedule, ...] = Field(default=(), strict=False, description="What happens when.")
    sales: tuple[SaleSettings, ...] = Field(default=(), strict=False, description="Sale campaigns.")
    alerts: tuple[AlertSettings, ...] = Field(
        default=(), strict=False, description="Who is told what is not right, and how."
    )
    heartbeat: HeartbeatSettings | None = Field(
        default=None, description="A dead man's switch, so that a dead machine is noticed, too."
    )

    def zone_warnings(self) -> list[str]:
        """What a person should know of the time zones, a sentence each."""
        zones = {"timezone": self.timezone} | {
            f"timezone of schedule {schedule.name}": schedule.timezone
            for schedule in self.schedules
            if schedule.timezone is not None
        }
        return [f"{key}: {text}" for key, zone in zones.items() if (text := doubt(zone)) is not None]

    def zone_of(self, schedule: Schedule) -> ZoneInfo:
        """The time zone that the schedule's times are in."""
        return schedule.timezone or self.timezone


def with_base_urls(settings: Settings, store: StoreName, *, nhanh_url: str, shopify_url: str) -> Settings:
    """The settings with the sources of one store at other addresses, such as those of a sandbox."""
    sources = settings.stores[store]
    moved = sources.model_copy(
        update={
            "nhanh": sources.nhanh and sources.nhanh.model_copy(update={"base_url": check_base_url(nhanh_url)}),
            "shopify": sources.shopify and sources.shopify.model_copy(update={"base_url": check_base_url(shopify_url)}),
        }
    )
    return settings.model_copy(update={"stores": {**settings.stores, store: moved}})
