"""The configuration: what is accepted, what is refused and in which words, and what a reload has to touch."""

import re
import tomllib
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from daemon.config import (
    DEMO_CONFIG,
    EXAMPLE_CONFIG,
    CustomerSyncSettings,
    Settings,
    TcpAddress,
    UnixAddress,
    changed_parts,
    json_schema,
    load_settings,
    parse_settings,
    state_directory,
    with_base_urls,
)
from daemon.config.address import parse_listen
from daemon.config.settings import JobSettings, LogSettings
from daemon.config.shopify_names import read_shop
from daemon.errors import ConfigError, ExitCode
from daemon.i18n import Language
from daemon.ids import StoreName
from daemon.jobs.types import JobType

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "config" / "dongbo.toml"

STORES = """
[stores.main.nhanh]
app_id = 1
business_id = 2
access_token = { env = "NHANH_TOKEN" }
[stores.main.shopify]
shop = "my-shop"
access_token = { credential = "shopify-token" }
"""
SCHEDULE = """
[[schedules]]
name = "customers-nightly"
kind = "cron"
cron = "0 2 * * *"
store = "main"
job = "PULL_NHANH_CUSTOMERS"
"""
SYNC = """
[stores.main.nhanh.secret_key]
env = "NHANH_KEY"
[stores.main.product_sync]
locations = { "68" = [1, 2], "69" = [3] }
"""
CHAIN = """
[[schedules]]
name = "products"
kind = "product"
every_minutes = 15
store = "main"
"""
CHAIN_ON_CRON = CHAIN.replace("every_minutes = 15", 'cron = "5 * * * *"\npull_products = false').replace(
    '"products"', '"x"'
)
CUSTOMERS = """
[stores.main.customer_sync]
"""
KEYS = (
    *(
        "timezone",
        "language",
        "database",
        "database.url",
        "status",
        "status.token",
        "status.listen",
        "status.allowed_hosts",
    ),
    *("jobs", "jobs.retention_days", "log", "schedules", "stores", "stores.a", "stores.a.shopify", "stores.a.nhanh"),
    *("stores.a.nhanh.access_token", "stores.a.nhanh.base_url"),
)


SOMEBODY = '{ name = "%s", token = { env = "T" }, role = "read" }'


def problems(text: str) -> list[str]:
    """What is said about a file called `x`, without its name."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, source="x")
    assert all(problem.startswith("x:") and "\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix("x:") for problem in caught.value.problems]


def only_problem(text: str) -> str:
    """The one thing that is said."""
    (problem,) = problems(text)
    return problem


class TestFiles:
    """The files of this repository."""

    @pytest.mark.parametrize("path", [EXAMPLE, REPOSITORY / "config" / "demo.toml", DEMO_CONFIG], ids=lambda p: p.name)
    def test_are_valid(self, path: Path) -> None:
        """Every configuration that comes with dongbo loads, and follows the schema that editors get."""
        assert load_settings(path).stores
        jsonschema.validate(tomllib.loads(path.read_text()), json_schema(), cls=jsonschema.Draft202012Validator)

    def test_the_demo_is_packaged(self) -> None:
        """The installed package brings the same demo configuration as the folder of examples."""
        assert (REPOSITORY / "config" / "demo.toml").read_bytes() == DEMO_CONFIG.read_bytes()
        assert DEMO_CONFIG.is_relative_to(REPOSITORY / "daemon")

    def test_the_example_is_packaged(self) -> None:
        """A service begins with it, and its package may be all that is there."""
        assert EXAMPLE.read_bytes() == EXAMPLE_CONFIG.read_bytes()
        assert EXAMPLE_CONFIG.is_relative_to(REPOSITORY / "daemon")

    def test_the_demo_shows_something_within_a_minute(self) -> None:
        """The product chain and the customer pulls of the demo start every minute, and nothing leaves this machine."""
        demo = load_settings(DEMO_CONFIG)
        often = {schedule.job for schedule in demo.schedules if schedule.expression in ("* * * * *", "every 1 min")}
        assert often == {JobType.PRODUCT_CHAIN, JobType.PULL_NHANH_CUSTOMERS, JobType.PULL_SHOPIFY_CUSTOMERS}
        assert {JobType.MATCH_CUSTOMERS, JobType.SYNC_CUSTOMERS} < {schedule.job for schedule in demo.schedules}
        store = demo.stores[StoreName("demo")]
        assert store.nhanh is not None
        assert store.shopify is not None
        assert all(url.startswith("http://127.0.0.1:") for url in (store.nhanh.base_url, store.shopify.url))

    def test_the_example_names_every_key(self) -> None:
        """A key that the example does not mention would stay unknown to people."""
        text = EXAMPLE.read_text()
        keys = {
            key for table in (json_schema(), *json_schema()["$defs"].values()) for key in table.get("properties", {})
        }
        assert {key for key in keys if key not in text} == set()

    def test_the_example_shows_the_true_defaults(self) -> None:
        """A key that is commented out in the example stands there with the value it has without being written."""
        sections: dict[str, BaseModel] = {"jobs": JobSettings(), "log": LogSettings()}
        shown: dict[str, dict[str, Any]] = {name: {} for name in sections}
        section = ""
        for line in EXAMPLE.read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif section in sections and line.startswith("# ") and "=" in line:
                shown[section] |= tomllib.loads(line.removeprefix("# "))
        assert shown == {name: model.model_dump() for name, model in sections.items()}


class TestSettings:
    """What a file is taken to mean."""

    @pytest.mark.parametrize(
        "guard",
        [
            'token = { env = "T" }',
            f"tokens = [{SOMEBODY % 'Lan'}]",
            'user_header = "X-User"\ntrusted_proxies = ["10.0.0.0/8", "::1", "unix"]\noperators = ["lan", "*"]',
        ],
    )
    def test_whoever_is_asked_who_they_are_may_come_from_other_machines(self, guard: str) -> None:
        """By a token, with a name or without, or by a proxy."""
        settings = parse_settings(f'[status]\nlisten = "0.0.0.0:1"\n{guard}', source="x")
        assert not settings.status.address.is_loopback

    def test_an_empty_file_is_enough(self) -> None:
        """Every key has a default or is only needed by what it configures."""
        settings = parse_settings("", source="x")
        assert settings.timezone == ZoneInfo("Asia/Ho_Chi_Minh")
        assert settings.language is Language.ENGLISH
        assert settings.status.address == TcpAddress("127.0.0.1", 8765)
        assert settings.database.url is None

    def test_defaults_keep_their_own_limits(self) -> None:
        """The defaults, written out, are a valid configuration."""
        settings = Settings()
        assert Settings.model_validate(settings.model_dump()) == settings

    def test_settings_are_frozen(self) -> None:
        """Nobody changes the configuration of a running daemon but by loading a new one."""
        with pytest.raises(ValidationError):
            Settings().timezone = ZoneInfo("UTC")  # type: ignore[misc]

    def test_schedules_have_the_zone_of_the_file_unless_they_name_one(self) -> None:
        """A chain with shops abroad can write each schedule in local time."""
        settings = parse_settings(
            'timezone = "Europe/Berlin"\n' + STORES + SCHEDULE + SCHEDULE.replace("nightly", "tokyo")
            + 'timezone = "Asia/Tokyo"\n',
            source="x",
        )  # fmt: skip
        assert [settings.zone_of(schedule).key for schedule in settings.schedules] == ["Europe/Berlin", "Asia/Tokyo"]

    def test_params_are_what_the_job_gets(self) -> None:
        """Only what was asked for goes to the job, and dates as the JSON of a job has them."""
        text = STORES + SCHEDULE + "params = { full = true, filters = { type = 2, last_bought_from = 2026-01-31 } }"
        assert parse_settings(text, source="x").schedules[0].params.to_json() == {
            "full": True,
            "filters": {"type": 2, "last_bought_from": "2026-01-31"},
        }
        assert parse_settings(STORES + SCHEDULE, source="x").schedules[0].params.to_json() == {}
        for said, taken in (("bulk", {"method": "bulk"}), ("auto", {})):
            text = STORES + SCHEDULE.replace("NHANH", "SHOPIFY") + f'params.method = "{said}"'
            assert parse_settings(text, source="x").schedules[0].params.to_json() == taken

    def test_a_product_schedule_is_the_chain_at_an_interval_or_on_a_cron_expression(self) -> None:
        """It says when and for which store; the job and its parameters follow."""
        every, cron = parse_settings(STORES + SYNC + CHAIN + CHAIN_ON_CRON, source="x").schedules
        assert (every.job, every.expression) == (JobType.PRODUCT_CHAIN, "every 15 min")
        assert (cron.job, cron.expression) == (JobType.PRODUCT_CHAIN, "5 * * * *")
        assert [schedule.to_params() for schedule in (every, cron)] == [
            {"pull_products": True},
            {"pull_products": False},
        ]

    def test_the_tiers_of_the_old_system_are_the_default(self) -> None:
        """MEMBER, SILVER from 3 million, GOLD 6, PLATINUM 10, DIAMOND 20, BLACK_DIAMOND 100."""
        tiers = CustomerSyncSettings().tiers
        assert [tier.name for tier in tiers] == ["MEMBER", "SILVER", "GOLD", "PLATINUM", "DIAMOND", "BLACK_DIAMOND"]
        assert [tier.threshold // 10**6 for tier in tiers] == [0, 3, 6, 10, 20, 100]

    def test_depots_add_up_in_the_location_they_stand_for(self) -> None:
        """Locations are numbers to the program, though TOML's keys are text."""
        sync = parse_settings(STORES + SYNC, source="x").stores[StoreName("main")].product_sync
        assert sync is not None
        assert sync.depots_of == {68: (1, 2), 69: (3,)}

    @pytest.mark.parametrize("shop", ["my-shop", "my-shop.myshopify.com", "My-Shop"])
    def test_a_shop_is_its_handle(self, shop: str) -> None:
        """The handle and the whole host name mean the same shop."""
        settings = parse_settings(STORES.replace('"my-shop"', f'"{shop}"'), source="x")
        shopify = settings.stores[StoreName("main")].shopify
        assert shopify is not None
        assert (shopify.shop, shopify.url) == ("my-shop", "https://my-shop.myshopify.com")

    def test_sources_can_be_moved_to_a_sandbox(self) -> None:
        """The demo points one store at its servers and leaves everything else as it is."""
        settings = parse_settings(STORES + SCHEDULE, source="x")
        moved = with_base_urls(
            settings, StoreName("main"), nhanh_url="http://127.0.0.1:1/", shopify_url="http://127.0.0.1:2"
        )
        store = moved.stores[StoreName("main")]
        assert store.nhanh is not None
        assert store.shopify is not None
        assert (store.nhanh.base_url, store.shopify.url) == ("http://127.0.0.1:1", "http://127.0.0.1:2")
        assert changed_parts(settings, moved).stores_changed == {"main"}
        assert moved.schedules == settings.schedules

    @pytest.mark.parametrize(
        ("text", "address", "is_loopback"),
        [
            ("127.0.0.1:8765", TcpAddress("127.0.0.1", 8765), True),
            ("127.8.8.8:0", TcpAddress("127.8.8.8", 0), True),
            ("localhost:80", TcpAddress("localhost", 80), True),
            ("[::1]:8765", TcpAddress("::1", 8765), True),
            ("[::]:8765", TcpAddress("::", 8765), False),
            ("0.0.0.0:8765", TcpAddress("0.0.0.0", 8765), False),
            ("shop.example.com:8765", TcpAddress("shop.example.com", 8765), False),
            ("unix:/run/dongbo/status.sock", UnixAddress("/run/dongbo/status.sock"), True),
        ],
    )
    def test_listen_addresses(self, text: str, address: TcpAddress | UnixAddress, is_loopback: bool) -> None:
        """Each form of address is read, and known for whether other machines can reach it."""
        assert parse_listen(text) == address
        assert address.is_loopback is is_loopback


class TestShops:
    """A shop may be written in every way that can only mean one."""

    @pytest.mark.parametrize(
        "text",
        [
            "my-shop",
            " My-Shop ",
            "my-shop.myshopify.com",
            "https://my-shop.myshopify.com/",
            "http://my-shop.myshopify.com/admin/products?x=1",
            "my-shop.myshopify.com/admin",
            "https://admin.shopify.com/store/my-shop",
            "https://admin.shopify.com/store/my-shop/products/1?x=2#y",
            "admin.shopify.com/store/my-shop",
        ],
    )
    def test_understood(self, text: str) -> None:
        """All of these are my-shop."""
        assert read_shop(text) == "my-shop"

    @pytest.mark.parametrize(
        "text",
        ["", " ", "shop.example.com", "https://", "-x", "a_b", "a/b", "https://admin.shopify.com/", "my shop", "ö"],
    )
    def test_refused(self, text: str) -> None:
        """None of these is any."""
        with pytest.raises(ValueError, match=r"is not a shop: write the part before \.myshopify\.com"):
            read_shop(text)

    @given(st.text(max_size=60))
    def test_nothing_but_a_handle_comes_out(self, text: str) -> None:
        """Whatever goes in."""
        try:
            handle = read_shop(text)
        except ValueError:
            return
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", handle)


class TestProblems:
    """What is said about a wrong file: where, what, and what to write instead."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('[status]\nlisten_on = "x"', '2: status.listen_on: unknown key; did you mean "listen"?'),
            ("[sttus]", '1: sttus: unknown key; did you mean "status"?'),
            ("[log]\nx = 1", "2: log.x: unknown key; known here: format, level"),
            ('[jobs]\nretention_days = "30"', "2: jobs.retention_days: must be a whole number, not text"),
            ("[jobs]\nmax_attempts = 2.5", "2: jobs.max_attempts: must be a whole number, not a number with a decimal"),
            ("[jobs]\nmax_attempts = true", "2: jobs.max_attempts: must be a whole number, not true or false"),
            ("[jobs]\nmax_attempts = 0", "2: jobs.max_attempts: must be at least 1, not 0"),
            ("[jobs]\nstop_grace_seconds = inf", "2: jobs.stop_grace_seconds: must be a finite number"),
            ("[jobs]\nstop_grace_seconds = 2026-01-01", "2: jobs.stop_grace_seconds: must be a number, not a date"),
            ("[jobs]\nretry_backoff_seconds = 400", "1: jobs: the longest wait (300) is shorter than the first"),
            ("database.max_connections = 7", "1: database.max_connections: must be at least 8, not 7"),
            ('database.listen_url = "postgresql://h/d"', "1: database.listen_url: goes with url only"),
            ('database.read_url = "postgresql://h/d"', "1: database.read_url: goes with url only"),
            ('database = { url = "postgresql://h/d", listen_url = "mysql://h/d" }', "must begin with postgresql://"),
            ("database = 1", "1: database: must be a table, not a whole number"),
            ("schedules = 1", "1: schedules: must be an array, not a whole number"),
            ("[schedules]", "1: schedules: must be an array, not a table"),
            ("schedules = [1]", "1: schedules[0]: must be a table, not a whole number"),
            ("stores = []", "1: stores: must be a table, not an array"),
            ('language = "vn"', '1: language: "vn" is unknown; known here: en, vi'),
            ('[log]\nlevel = "warn"', '2: log.level: "warn" is unknown; did you mean "warning"?'),
            (
                'timezone = "Asia/Saigon_"',
                '1: timezone: "Asia/Saigon_" is not a time zone: did you mean "Asia/Ho_Chi_Minh"?',
            ),
            ('timezone = "asia/ho chi minh"', 'did you mean "Asia/Ho_Chi_Minh"?'),
            ('timezone = "Asia"', '1: timezone: "Asia" is not a time zone'),
            ('timezone = "../../etc/passwd"', "is not a time zone"),
            ("timezone = 7", "1: timezone: must be the name of a time zone in quotes"),
            ('status.listen = "8765"', '1: status.listen: "8765" is not an address: write "127.0.0.1:8765"'),
            ('status.listen = "127.0.0.1:x"', 'the port "x" is not a number'),
            ('status.listen = "127.0.0.1:65536"', 'the port "65536" is not a number from 0 to 65535'),
            ('status.listen = "256.0.0.1:1"', '"256.0.0.1" is not a host name or IP address'),
            ('status.listen = "::1:8765"', "an IPv6 address, and only that, stands in brackets"),
            ('status.listen = "unix:run/x"', "the path of a Unix socket must be absolute"),
            (f'status.listen = "unix:/{"x" * 107}"', "at most 107 bytes"),
            ('status.listen = "0.0.0.0:1"', '"0.0.0.0:1" is reachable from other machines: add token = {'),
            ('status.tokens = [{ name = "Lan", role = "read" }]', "1: status.tokens[0].token: is missing"),
            (f"status.tokens = [{SOMEBODY % ' Lan '}]", "no space at its ends"),
            (
                f"status.tokens = [{SOMEBODY % 'Lan'}, {SOMEBODY % 'LAN'}]",
                '"LAN" is the name of status.tokens[0] already',
            ),
            (f"status.tokens = [{(SOMEBODY % 'Lan').replace('read', 'write')}]", "1: status.tokens[0].role: "),
            ('status.user_header = "X-Remote-User"', "say whose X-Remote-User can be trusted"),
            (
                'status.user_header = "Cookie"\nstatus.trusted_proxies = ["unix"]',
                '"Cookie" says something else already',
            ),
            ('status.trusted_proxies = ["unix"]', "needs user_header"),
            ('status.operators = ["lan"]', "needs user_header"),
            (
                'status.user_header = "X-User"\nstatus.trusted_proxies = ["10.0.0.1/8"]',
                '"10.0.0.1/8" is not an IP address, a network',
            ),
            (
                'status.user_header = "X-User"\nstatus.trusted_proxies = ["0.0.0.0/0"]',
                '"0.0.0.0/0" is everybody',
            ),
            ('status.user_header = "X-User"\nstatus.trusted_proxies = ["::/0"]', '"::/0" is everybody'),
            ('status.allowed_hosts = ["x:8765"]', "1: status.allowed_hosts[0]: must be a host name without port"),
            ('status.allowed_hosts = ["https://x/"]', "or an origin without path, such as"),
            ('status.allowed_hosts = ["ftp://x"]', "1: status.allowed_hosts[0]: must be a host name without port"),
            ('status.allowed_hosts = ["https://x:65536"]', '"https://x:65536" is not a valid origin'),
            ("[stores.main]", "1: stores.main: a store without a source does nothing"),
            (
                "[stores.main.nhanh]\napp_id = 1\nbusiness_id = 1",
                "1: stores.main.nhanh.access_token: is missing: where",
            ),
            (STORES.replace("main", '"Đồng Bộ"'), '2: stores."Đồng Bộ": must be 1 to 63 of a-z'),
            (STORES.replace('"my-shop"', '"https://shop.example.com"'), "is not a shop: write the part before"),
            (
                STORES.replace('"my-shop"', '"my-shop"\nclient_id = "0123456789abcdef"'),
                "stores.main.shopify: two ways to sign in: keep client_id and client_secret, or access_token",
            ),
            (
                '[stores.a.shopify]\nshop = "x"',
                "1: stores.a.shopify: how to sign in is missing: run `dongbo connect shopify`",
            ),
            (
                '[stores.a.shopify]\nshop = "x"\nclient_id = "0123456789abcdef"',
                "go together: add client_secret",
            ),
            (
                '[stores.a.shopify]\nshop = "x"\nclient_secret = { env = "X" }',
                "go together: add client_id",
            ),
            (
                '[stores.a.shopify]\nshop = "x"\nclient_id = "shpat_0123"\nclient_secret = { env = "X" }',
                "3: stores.a.shopify.client_id: this is an access token, not a client id",
            ),
            (
                '[stores.a.shopify]\nshop = "x"\nclient_id = "a b"\nclient_secret = { env = "X" }',
                "is not a client id: copy it from Settings of your app in the Dev Dashboard",
            ),
            (
                '[stores.a.shopify]\nshop = "shpss_0123"\naccess_token = { env = "X" }',
                "2: stores.a.shopify.shop: this is a client secret, not a shop",
            ),
            (
                STORES.replace('"my-shop"', '"my-shop"\nbase_url = "http://x.com"'),
                "8: stores.main.shopify.base_url: must begin",
            ),
            (
                STORES.replace('"my-shop"', '"my-shop"\nbase_url = "x.com"'),
                'is not a web address: write "https://host"',
            ),
            (STORES.replace('"my-shop"', '"my-shop"\nbase_url = "https://a:b@x.com"'), "without user name, password"),
            (SCHEDULE, '6: schedules[0].store: there is no store "main" in this file (stores: none)'),
            (STORES + SCHEDULE.replace("NHANH_CUSTOMERS", "NHANH_CUSTOMER"), 'did you mean "PULL_NHANH_CUSTOMERS"?'),
            (
                STORES + SCHEDULE.replace('"cron"', '"sale"'),
                '12: schedules[0].kind: "sale" is unknown; known here: cron, product',
            ),
            (
                STORES + SCHEDULE.replace("0 2 * * *", "61 * * * *"),
                '13: schedules[0].cron: "61 * * * *": the minute must',
            ),
            (STORES + SCHEDULE.replace("0 2 * * *", "0 0 30 2 *"), '13: schedules[0].cron: "0 0 30 2 *" never fires'),
            (STORES + SCHEDULE + SCHEDULE, '18: schedules[1].name: "customers-nightly" is the name of schedules[0]'),
            (
                STORES + SCHEDULE + "params = { ful = true }",
                '16: schedules[0].params.ful: unknown key; did you mean "full"',
            ),
            (STORES + SCHEDULE + 'params = { query = "" }', "16: schedules[0].params.query: must not be empty"),
            (
                STORES + SCHEDULE + 'params.query = "tag:vip"',
                "16: schedules[0].params: a query is for pulls from Shopify",
            ),
            (
                STORES + SCHEDULE.replace("NHANH", "SHOPIFY") + "params.filters = { type = 1 }",
                "16: schedules[0].params: PULL_SHOPIFY_CUSTOMERS takes no filters",
            ),
            (
                STORES + SCHEDULE.replace("NHANH", "SHOPIFY") + 'params.method = "graphql"',
                "16: schedules[0].params.method: ",
            ),
            (
                STORES + SCHEDULE + 'params.method = "bulk"',
                "16: schedules[0].params: PULL_NHANH_CUSTOMERS takes no method",
            ),
            (
                STORES + SCHEDULE + 'params.skus = ["AO-01"]',
                "16: schedules[0].params: PULL_NHANH_CUSTOMERS takes no skus",
            ),
            (
                STORES + CHAIN.replace("product", "products"),
                '12: schedules[0].kind: "products" is unknown; did you mean "product"?',
            ),
            (
                STORES + CHAIN,
                "12: schedules[0].kind: PRODUCT_CHAIN needs to know what to push: add a table [stores.main.p",
            ),
            (
                STORES + SCHEDULE.replace("PULL_NHANH_", "SYNC_"),
                "15: schedules[0].job: SYNC_CUSTOMERS needs to know what to push: add a table [stores.main.c",
            ),
            (
                STORES + SCHEDULE.replace('cron = "0 2 * * *"', 'misfire = "skip"\ntimezone = "UTC"'),
                "schedules[0]: without a timetable this is a preset, which only a person starts: add cron, or leave out"
                " timezone and misfire",
            ),
            (
                STORES + SYNC + CHAIN.replace("every_minutes = 15", 'misfire = "once"'),
                "schedules[0]: without a timetable this is a preset",
            ),
            (STORES + SYNC + CHAIN.replace("15", '15\ncron = "0 2 * * *"'), "say either cron or every_minutes"),
            (STORES + SYNC + CHAIN.replace("15", "0"), "schedules[0].every_minutes: must be at least 1, not 0"),
            (STORES + SYNC + CHAIN.replace("15", "1441"), "schedules[0].every_minutes: must be at most 1440"),
            (STORES + SYNC + CHAIN_ON_CRON.replace("5 *", "75 *"), 'schedules[0].cron: "75 * * * *": the minute must'),
            (STORES + SYNC + CHAIN + 'job = "NOOP"', "schedules[0].job: unknown key"),
            (STORES + SYNC + CHAIN + "pull_product = true", 'unknown key; did you mean "pull_products"?'),
            (
                STORES + SYNC.replace("[3]", "[2]"),
                "stores.main.product_sync.locations: depot 2 stands for",
            ),
            (STORES + SYNC.replace("[3]", "[]"), "locations: location 69 has no depots"),
            (
                STORES + SYNC.replace('"69"', "kho"),
                "stores.main.product_sync.locations.kho: must be the number of a Shopify location in quotes",
            ),
            (STORES + SYNC.replace("[3]", '["3"]'), "locations.69[0]: must be a whole number, not text"),
            (
                STORES + "[stores.main.product_sync]",
                "it says nothing to sync: add locations, price or compare_at_price",
            ),
            (STORES + SYNC + 'price = "retial"', 'product_sync.price: "retial" is unknown; did you mean "retail"?'),
            (STORES + SYNC + "large_price_change = 0", "large_price_change: must be more than 0"),
            (STORES + CUSTOMERS + 'total_spent = "total_spent"', "customer_sync.total_spent: "),
            (
                STORES + CUSTOMERS + 'tier = "custom.total_spent"',
                "custom.total_spent is the metafield of the total spent",
            ),
            (
                STORES + CUSTOMERS + 'tiers = [{ name = "A", from = 5 }, { name = "B", from = 5 }]',
                'tiers go from low to high, but "B" does not lie above "A"',
            ),
            (
                STORES + CUSTOMERS + 'tiers = [{ name = "A", from = 5 }, { name = "a", from = 6 }]',
                "two tiers have the same name",
            ),
            (STORES + CUSTOMERS + "tiers = [{ from = 5 }]", "customer_sync.tiers[0].name: is missing"),
            (
                STORES + CUSTOMERS + 'tiers = [{ name = "A", from = -1 }]',
                "customer_sync.tiers[0].from: must be at least 0",
            ),
            (
                STORES.partition("[stores.main.shopify]")[0] + SCHEDULE.replace("NHANH", "SHOPIFY"),
                "PULL_SHOPIFY_CUSTOMERS needs Shopify: add a table [stores.main.shopify], or name another store",
            ),
        ],
    )
    def test_one_line_each(self, text: str, problem: str) -> None:
        """A mistake gives one line that names the key, its line, and what would be right."""
        assert problem in only_problem(text)

    def test_all_at_once_in_the_order_of_the_file(self) -> None:
        """Whoever mends a file learns of all mistakes in one go, those between tables too."""
        text = 'timezone = "Mars"\n[log]\nlevel = 1\n' + STORES + SCHEDULE.replace('"main"', '"mian"') + "colour = 1\n"
        found = problems(text.replace("0 2", "0 25"))
        assert [problem.partition(":")[0] for problem in found] == ["1", "3", "16", "17", "19"]

    def test_of_a_key_in_an_inline_table_over_many_lines(self) -> None:
        """The line is that of the key, not that of the table."""
        text = "[jobs]\n'max_attempts' = 1\n\"retention_days\" = 0 # \nstop_grace_seconds = -1"
        assert [problem.partition(":")[0] for problem in problems(text)] == ["3", "4"]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a = 1\na = 2", "2: not valid TOML: Cannot overwrite a value"),
            ("[status\nlisten = 1", "1:8: not valid TOML: Expected ']'"),
            ("a = [1,\n", "2: not valid TOML:"),
            ("a = " + "9" * 5000, " not valid TOML: a value is too large"),
            ("a = " + "[" * 20_000, " not valid TOML: a value is too large or nested too deeply"),
        ],
    )
    def test_of_syntax(self, text: str, problem: str) -> None:
        """What is not TOML is said with line and column."""
        assert only_problem(text).startswith(problem)

    def test_of_values_with_control_characters(self) -> None:
        """No value can put more than printable characters into a message."""
        assert only_problem('[log]\nlevel = "\\u001b[31m\\n"').startswith(r'2: log.level: "\u001b[31m\n" is unknown')

    @given(st.text())
    def test_never_a_stack_trace(self, text: str) -> None:
        """Whatever a file holds, it gives settings or plain sentences."""
        assert all(problem.startswith("x:") and "\n" not in problem for problem in outcome(text))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
        ),
        st.sampled_from(KEYS),
    )
    def test_any_value_anywhere(self, value: Any, key: str) -> None:
        """Whatever stands in place of whichever key, it gives settings or plain sentences."""
        assert all(problem.startswith("x:1: ") for problem in outcome(f"{key} = {toml(value)}"))


def outcome(text: str) -> tuple[str, ...]:
    """What is said about the file; nothing when it is accepted."""
    try:
        parse_settings(text, source="x")
    except ConfigError as error:
        return error.problems
    return ()


def toml(value: Any) -> str:
    """The value as TOML writes it."""
    match value:
        case None:
            return "1979-05-27"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return "{" + ", ".join(f"{toml(key)} = {toml(element)}" for key, element in value.items()) + "}"


class TestReading:
    """Files that can't be read at all."""

    def test_missing(self, tmp_path: Path) -> None:
        """A file that is not there is named, with the option to name another."""
        with pytest.raises(
            ConfigError, match=r"nothing\.toml: there is no such file; name yours with --config"
        ) as caught:
            load_settings(tmp_path / "nothing.toml")
        assert caught.value.exit_code is ExitCode.CONFIG

    def test_directory(self, tmp_path: Path) -> None:
        """A directory is told from a file."""
        with pytest.raises(ConfigError, match="this is a directory"):
            load_settings(tmp_path)

    def test_other_encodings(self, tmp_path: Path) -> None:
        """A file in another encoding is refused with the line of its first wrong byte."""
        path = tmp_path / "x.toml"
        path.write_bytes("# fine\n# Hồ Chí Minh".encode("utf-16-le"))
        with pytest.raises(ConfigError, match=r"x\.toml:\d: not UTF-8"):
            load_settings(path)

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        """The mark that some editors put in front of UTF-8 does no harm."""
        path = tmp_path / "x.toml"
        path.write_bytes(b'\xef\xbb\xbftimezone = "UTC"\r\n')
        assert load_settings(path).timezone == ZoneInfo("UTC")


class TestSchema:
    """The JSON schema for editors."""

    def test_is_valid(self) -> None:
        """The schema follows the draft that it names."""
        schema = json_schema()
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)

    def test_describes_every_key(self) -> None:
        """An editor can explain whatever a person may write."""
        schema = json_schema()
        undescribed = [
            f"{name}.{key}"
            for name, table in (("", schema), *schema["$defs"].items())
            for key, described in table.get("properties", {}).items()
            if not described.get("description")
        ]
        assert undescribed == []

    @pytest.mark.parametrize(
        "text",
        [
            "unknown = 1",
            "jobs.max_attempts = 0",
            'jobs.max_attempts = "5"',
            'status.token = "secret itself"',
            "status.token = {}",
            'status.token = { env = "A", file = "/b" }',
            STORES + SCHEDULE.replace("NHANH", "NHANG"),
        ],
    )
    def test_refuses_what_the_daemon_refuses(self, text: str) -> None:
        """Common mistakes are seen in the editor already."""
        assert problems(text)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(text), json_schema())


class TestChanges:
    """What a reload has to touch."""

    def test_nothing(self) -> None:
        """The same file again changes nothing."""
        settings = parse_settings(STORES + SCHEDULE, source="x")
        changes = changed_parts(settings, parse_settings(STORES + SCHEDULE, source="y"))
        assert not any((changes.stores_changed, changes.restart_required))

    def test_the_language_needs_no_restart(self) -> None:
        """A reload speaks the other one from then on."""
        changes = changed_parts(parse_settings("", source="x"), parse_settings('language = "vi"', source="x"))
        assert changes.restart_required == ()

    def test_keys_that_need_a_restart(self) -> None:
        """What only a restart can apply is named by its keys."""
        changes = changed_parts(
            parse_settings("", source="x"),
            parse_settings(
                'log.level = "debug"\ndatabase.url = "postgresql://h/d"\nstatus.listen = "127.0.0.1:1"\n'
                'status.token = { env = "A" }\n' + STORES,
                source="x",
            ),
        )
        assert set(changes.restart_required) == {"database.url", "status.listen"}
        assert changes.stores_changed == {"main"}


class TestStateDirectory:
    """Where the embedded database is kept."""

    def test_from_systemd(self) -> None:
        """systemd's directory comes first; of a list, the first."""
        assert state_directory({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x"}) == Path(
            "/var/lib/a"
        )

    def test_from_the_desktop(self) -> None:
        """A user's own choice of where state lives is followed, if it is an absolute path."""
        assert state_directory({"XDG_STATE_HOME": "/x y"}) == Path("/x y/dongbo")
        assert state_directory({"XDG_STATE_HOME": "relative"}) == state_directory({})

    def test_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root has the system's place, everybody else their own."""
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert state_directory({}) == Path("/var/lib/dongbo")
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        monkeypatch.setenv("HOME", "/home/lan")
        assert state_directory({}) == Path("/home/lan/.local/state/dongbo")
