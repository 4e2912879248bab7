"""Everything that a configuration file may say: one frozen model per table, each key with its meaning and its limits.

The models check what can be judged inside one table; whether a schedule's store exists is for
`daemon.config.references`. A key that is a length of time carries its unit in its name.
"""

import re
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator

from daemon.config.address import ListenAddress, check_base_url, parse_listen
from daemon.config.fields import (
    HOST_PATTERN,
    NAME_PATTERN,
    BaseUrl,
    DatabaseUrl,
    SecretRef,
    Section,
    TimeZone,
    quote_dates,
)
from daemon.ids import ScheduleName, StoreName
from daemon.jobs.model import JobType
from daemon.schedules.cron import parse as parse_cron

SHOP_HANDLE = re.compile(r"([a-z0-9][a-z0-9-]*)(\.myshopify\.com)?", re.ASCII)
LARGEST_ID = 2**63 - 1  # bigint


class DatabaseSettings(Section):
    """The PostgreSQL server, 14 or newer."""

    url: DatabaseUrl | None = Field(
        default=None, description="postgresql:// address, or where it is kept; without it, the embedded server."
    )
    max_connections: int = Field(default=16, ge=8, le=500, description="Size of the one connection pool.")
    statement_timeout_seconds: float = Field(
        default=30, ge=1, le=3600, description="After which PostgreSQL ends a statement."
    )


class StatusSettings(Section):
    """The endpoint with the job page, the API and the probes."""

    token: SecretRef | None = Field(
        default=None, description="Bearer token that all but the probes must show; required beyond this machine."
    )
    listen: str = Field(
        default="127.0.0.1:8765", description='"host:port" (port 0: any free one), "[IPv6]:port" or "unix:/path".'
    )
    allowed_hosts: tuple[Annotated[str, Field(pattern=HOST_PATTERN)], ...] = Field(
        default=(),
        strict=False,
        description="Further Host names that requests may come with, such as that of a reverse proxy.",
    )

    @field_validator("listen")
    @classmethod
    def _refuse_open_door(cls, listen: str, info: ValidationInfo) -> str:
        if not parse_listen(listen).is_loopback and info.data.get("token", ...) is None:
            raise ValueError(
                f'"{listen}" is reachable from other machines: add token = {{ credential = "status-token" }},'
                " or listen on 127.0.0.1"
            )
        return listen

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
        default=None, description="Where the app's secret key is kept; to check the token's expiry and permissions."
    )
    base_url: BaseUrl = Field(default="https://pos.open.nhanh.vn", description="Address of the API.")


class ShopifySettings(Section):
    """A Shopify store, reached through the Admin GraphQL API."""

    shop: str = Field(description='The store\'s handle: "my-shop" of my-shop.myshopify.com.')
    access_token: SecretRef = Field(description="Where the Admin API access token is kept.")
    base_url: BaseUrl | None = Field(default=None, description="Address of the API.")

    @field_validator("shop")
    @classmethod
    def _to_handle(cls, shop: str) -> str:
        match = SHOP_HANDLE.fullmatch(shop.lower())
        if match is None:
            raise ValueError(f'"{shop}" is not a shop: write the part before .myshopify.com, such as "my-shop"')
        return match[1]

    @property
    def url(self) -> str:
        """`base_url`, or Shopify's own address of the shop; without a trailing slash."""
        return self.base_url or f"https://{self.shop}.myshopify.com"


class StoreSettings(Section):
    """One business: its Nhanh.vn point of sale, its Shopify store, or both."""

    nhanh: NhanhSettings | None = Field(default=None, description="The point of sale.")
    shopify: ShopifySettings | None = Field(default=None, description="The web shop.")

    @model_validator(mode="after")
    def _require_a_source(self) -> Self:
        if self.nhanh is None and self.shopify is None:
            raise ValueError("a store without a source does nothing: add a table .nhanh or .shopify to it")
        return self


class PullParams(Section):
    """What a scheduled pull is asked for."""

    full: bool = Field(default=False, description="Pull everything, not only what changed, and find deletions.")
    filters: Annotated[dict[str, JsonValue], BeforeValidator(quote_dates)] | None = Field(
        default=None, description="Filters of a pull from Nhanh.vn; of PULL_SHOPIFY_PRODUCTS: status."
    )
    query: str | None = Field(default=None, min_length=1, description="Search query of a Shopify pull.")

    def to_json(self) -> dict[str, Any]:
        """The `params` of the job: only what was asked for."""
        return self.model_dump(exclude_defaults=True)


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


class CronSchedule(_ScheduleBase):
    """A job on a cron expression."""

    kind: Literal["cron"] = Field(description='The kind of schedule: "cron".')
    cron: str = Field(
        description="Minute, hour, day of month, month, weekday (0-7, both Sunday) as in crontab(5).",
        examples=["0 2 * * *", "*/15 8-22 * * MON-SAT"],
    )
    job: JobType = Field(strict=False, description="The job that it starts.")
    params: PullParams = Field(default=PullParams(), description="What it asks of the job.")

    @field_validator("cron")
    @classmethod
    def _must_fire(cls, cron: str) -> str:
        parse_cron(cron)
        return cron

    @field_validator("params")
    @classmethod
    def _fit_the_source(cls, params: PullParams, info: ValidationInfo) -> PullParams:
        job = info.data.get("job")
        if params.filters is not None and job in (JobType.PULL_SHOPIFY_CUSTOMERS, JobType.NOOP):
            raise ValueError(f"{job} takes no filters; a pull from Shopify takes a query")
        if params.query is not None and job is not None and source_of(job) != "shopify":
            raise ValueError("a query is for pulls from Shopify; a pull from Nhanh.vn takes filters")
        return params


# A further kind is one more class, with its own `kind`: Annotated[CronSchedule | …, Field(discriminator="kind")]
Schedule = CronSchedule


class Settings(Section):
    """The whole file."""

    timezone: TimeZone = Field(
        default=ZoneInfo("Asia/Ho_Chi_Minh"),
        description="IANA time zone of the shop: of the schedules, and of times shown.",
    )
    database: DatabaseSettings = Field(default=DatabaseSettings(), description="Where everything is kept.")
    status: StatusSettings = Field(default=StatusSettings(), description="The status endpoint.")
    jobs: JobSettings = Field(default=JobSettings(), description="How jobs run.")
    log: LogSettings = Field(default=LogSettings(), description="The daemon's log.")
    stores: dict[Annotated[StoreName, Field(pattern=NAME_PATTERN)], StoreSettings] = Field(
        default={}, description="The businesses, by a name of your choice."
    )
    schedules: tuple[Schedule, ...] = Field(default=(), strict=False, description="What happens when.")

    def zone_of(self, schedule: Schedule) -> ZoneInfo:
        """The time zone that the schedule's times are in."""
        return schedule.timezone or self.timezone


def source_of(job: JobType) -> Literal["nhanh", "shopify"] | None:
    """The source that a job of this type reads, and that its store must therefore have; None where it needs none."""
    match job:
        case JobType.PULL_NHANH_PRODUCTS | JobType.PULL_NHANH_CUSTOMERS:
            return "nhanh"
        case JobType.PULL_SHOPIFY_PRODUCTS | JobType.PULL_SHOPIFY_CUSTOMERS:
            return "shopify"
        case JobType.NOOP:
            return None


def with_base_urls(settings: Settings, store: StoreName, *, nhanh_url: str, shopify_url: str) -> Settings:
    """The settings with the sources of one store at other addresses, such as those of a sandbox."""
    sources = settings.stores[store]
    moved = StoreSettings(
        nhanh=sources.nhanh and sources.nhanh.model_copy(update={"base_url": check_base_url(nhanh_url)}),
        shopify=sources.shopify and sources.shopify.model_copy(update={"base_url": check_base_url(shopify_url)}),
    )
    return settings.model_copy(update={"stores": {**settings.stores, store: moved}})
