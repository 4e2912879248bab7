"""`dongbo check` and `dongbo config schema`: the file, the fires, and what the sources say."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon.api.findings import Finding, Severity
from daemon.cli import app
from daemon.cli.checks import stores
from daemon.cli.checks.stores import check_stores
from daemon.cli.exits import run_guarded
from daemon.config import load_settings, resolve_secrets
from daemon.sandbox.faults import Fault
from daemon.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from daemon.sandbox.shopify.access import ALL_SCOPES, READ_SCOPES
from daemon.sources.http import Backoff
from tests.support.cli_processes import Outcome

TOKENS = {"N": "sandbox-nhanh-access-token", "K": "sandbox-nhanh-secret-key", "S": "shpat_sandbox"}


@pytest.fixture
def dongbo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Runs a command in this process, with the sandbox's tokens in the environment and a state directory of its own."""
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    def run(*arguments: str) -> Outcome:
        code = run_guarded(lambda: app(list(arguments), prog_name="dongbo"))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


def configuration(path: Path, nhanh_url: str, shopify_url: str, *, with_key: bool = True, more: str = "") -> Path:
    key = 'secret_key = { env = "K" }' if with_key else ""
    path.write_text(
        f"""
[stores.main.nhanh]
app_id = 73001
business_id = 110668
access_token = {{ env = "N" }}
{key}
base_url = "{nhanh_url}"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ env = "S" }}
base_url = "{shopify_url}"
[[schedules]]
name = "nightly"
kind = "cron"
cron = "0 2 * * *"
store = "main"
job = "PULL_NHANH_PRODUCTS"
{more}
"""
    )
    return path


def check_on_sandbox(path: Path, change: Callable[[Sandbox], None], *, with_key: bool = True) -> list[Finding]:
    """What the credentials' check finds on a sandbox that was changed first."""

    async def run() -> list[Finding]:
        async with running_sandbox(SandboxSettings(products=3, customers=3)) as sandbox:
            change(sandbox)
            settings = load_settings(configuration(path, sandbox.nhanh_url, sandbox.shopify_url, with_key=with_key))
            return await check_stores(settings, resolve_secrets(settings, TOKENS))

    return asyncio.run(run())


def details(findings: list[Finding], level: Severity) -> str:
    return "\n".join(finding.detail for finding in findings if finding.level is level)


def test_a_right_file_shows_five_fires_in_the_shop_s_zone(dongbo: Any, tmp_path: Path) -> None:
    """02:00 is two in the morning in Vietnam, wherever the machine is."""
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1")
    shown = dongbo("check", "--config", str(path))
    assert shown.code == 0
    assert shown.out.count(" 02:00\n") == 5
    (schedule,) = json.loads(dongbo("check", "--json", "--config", str(path)).out)["schedules"]
    assert schedule["timezone"] == "Asia/Ho_Chi_Minh"
    fires = [datetime.fromisoformat(fire) for fire in schedule["next"]]
    assert all(fire.hour == 2 and fire.astimezone(UTC).hour == 19 for fire in fires)
    assert fires == sorted(set(fires))


def test_a_preset_has_no_fires_and_meets_nobody(dongbo: Any, tmp_path: Path) -> None:
    """A schedule without cron is said to be a person's; it is never at the same minute as one of the same work."""
    preset = '[[schedules]]\nname = "again"\nkind = "cron"\nstore = "main"\njob = "PULL_NHANH_PRODUCTS"\n'
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1", more=preset)
    shown = dongbo("check", "--config", str(path))
    assert shown.code == 0
    assert "again: PULL_NHANH_PRODUCTS of main, only when a person starts it" in shown.out
    assert "both ask for" not in shown.err
    document = json.loads(dongbo("check", "--json", "--config", str(path)).out)
    assert [(one["name"], len(one["next"])) for one in document["schedules"]] == [("nightly", 5), ("again", 0)]


def test_schedules_of_the_very_same_work_at_the_same_minute_are_warned_of(dongbo: Any, tmp_path: Path) -> None:
    """Other params are other work, and so is another minute; the file is right all the same."""
    schedule = '[[schedules]]\nname = "{}"\nkind = "cron"\ncron = "{}"\nstore = "main"\njob = "{}"\n{}\n'
    more = "".join(
        schedule.format(*values)
        for values in (
            ("early", "0 2 * * *", "PULL_SHOPIFY_PRODUCTS", ""),
            ("often", "*/15 * * * *", "PULL_SHOPIFY_PRODUCTS", "params = { full = false }"),
            ("whole", "0 2 * * 0", "PULL_SHOPIFY_PRODUCTS", "params = { full = true }"),
            ("aside", "7 2 * * *", "PULL_SHOPIFY_PRODUCTS", ""),
            ("people", "0 2 * * *", "PULL_SHOPIFY_CUSTOMERS", ""),
        )
    )
    path = configuration(tmp_path / "d.toml", "http://127.0.0.1:1", "http://127.0.0.1:1", more=more)
    checked = dongbo("check", "--config", str(path))
    assert checked.code == 0
    (warning,) = [line for line in checked.err.splitlines() if "both ask" in line]
    assert warning.startswith("dongbo: schedules early and often both ask for PULL_SHOPIFY_PRODUCTS of main, with")
    assert " 02:00: the second finds the job live and does nothing; move or remove one" in warning
    assert len(json.loads(dongbo("check", "--config", str(path), "--json").out)["warnings"]) == 1


@pytest.mark.parametrize(
    ("settings", "offered", "risk"),
    [
        ("", "what Nhanh.vn has available.", "Until Nhanh.vn has taken an order from Shopify, each sync offers its"),
        (
            'stock_figure = "remain"',
            "all that is in Nhanh.vn's depots, including what",
            "What an order is waiting for stays on",
        ),
        (
            'stock_figure = "remain"\nquantity = "on_hand"',
            "all that is in Nhanh.vn's depots, less what its own open orders have committed.",
            "What orders of other channels are waiting for stays on",
        ),
        (
            'quantity = "on_hand"',
            "what Nhanh.vn has available, less what its own open orders have committed: too little rather",
            None,
        ),
    ],
)
def test_what_the_stock_comes_to_is_told(
    dongbo: Any, tmp_path: Path, settings: str, offered: str, risk: str | None
) -> None:
    """A combination of figure and quantity that can sell a piece twice is warned of, with what to set instead."""
    more = f'[stores.main.product_sync]\nlocations = {{ "1" = [2] }}\n{settings}\n'
    path = configuration(tmp_path / "e.toml", "http://127.0.0.1:1", "http://127.0.0.1:1", more=more)
    checked = dongbo("check", "--config", str(path))
    assert checked.code == 0
    assert f"  Stock     Shopify offers {offered}" in checked.out
    warnings = [line for line in checked.err.splitlines() if "[stores.main.product_sync]" in line]
    assert [line.startswith(f"dongbo: [stores.main.product_sync]: {risk}") for line in warnings] == [True] * bool(risk)
    document = json.loads(dongbo("check", "--config", str(path), "--json").out)
    assert document["stores"][0]["stock"].startswith(f"Shopify offers {offered}")


def test_where_no_stock_is_pushed_nothing_is_said_of_it(dongbo: Any, tmp_path: Path) -> None:
    """A store that syncs prices only sells nothing twice."""
    path = configuration(
        tmp_path / "f.toml",
        "http://127.0.0.1:1",
        "http://127.0.0.1:1",
        more='[stores.main.product_sync]\nprice = "retail"\n',
    )
    checked = dongbo("check", "--config", str(path))
    assert ("Stock" in checked.out, "product_sync" in checked.err) == (False, False)


def test_a_right_file_shows_how_each_store_signs_in(dongbo: Any, tmp_path: Path) -> None:
    """There are two ways at Shopify, and one of them is of the past."""
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1")
    assert "Shopify   sandbox, by permanent access token" in dongbo("check", "--config", str(path)).out
    text = path.read_text()
    old = 'access_token = { env = "S" }'
    path.write_text(text.replace(old, 'client_id = "0123456789abcdef"\nclient_secret = { env = "S" }'))
    assert (
        "Shopify   sandbox, by client id 0123456789abcdef and its secret" in dongbo("check", "--config", str(path)).out
    )


def test_a_wrong_file_is_one_line_per_problem(dongbo: Any, tmp_path: Path) -> None:
    """Everything at once, with file and line; the same as JSON; exit code 78."""
    path = tmp_path / "a.toml"
    path.write_text('colour = 1\ntimezone = "Saigon/Nowhere"\n')
    said = dongbo("check", "--config", str(path))
    assert (said.code, said.out) == (78, "")
    assert [line.split(": ")[1] for line in said.err.splitlines()] == [f"{path}:1", f"{path}:2"]
    document = json.loads(dongbo("check", "--json", "--config", str(path)).out)
    assert document["ok"] is False
    assert len(document["problems"]) == 2


def test_missing_credentials_are_findings_of_the_live_check(
    dongbo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are missing are named, and the file itself is right."""
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1")
    monkeypatch.delenv("N")
    monkeypatch.delenv("S")
    document = json.loads(dongbo("check", "--live", "--json", "--config", str(path)).out)
    assert [(finding["subject"], finding["level"]) for finding in document["live"]] == [("secrets", "failed")] * 2


def test_a_secret_that_is_wrong_is_not_said_to_be_unreadable(
    dongbo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon may have others, and the file itself is right."""
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1")
    token = '[[status.tokens]]\nname = "lan"\nrole = "read"\ntoken = { env = "LAN" }\n'
    path.write_text(f"{path.read_text('utf-8')}\n{token}", "utf-8")
    monkeypatch.setenv("LAN", "short")
    checked = dongbo("check", "--config", str(path))
    assert checked.code == 0
    assert "can be guessed" in checked.err
    assert "(as seen from here; the daemon does not start like this)" in checked.err
    assert "readable" not in checked.err


def test_sources_that_do_not_answer_are_findings(dongbo: Any, tmp_path: Path) -> None:
    """No stack trace, exit code 1, and no secret in what is printed."""
    path = configuration(tmp_path / "a.toml", "http://127.0.0.1:1", "http://127.0.0.1:1")
    ended = dongbo("check", "--live", "--config", str(path))
    assert ended.code == 1
    assert "✗ main nhanh" in ended.out
    assert "✗ main shopify" in ended.out
    assert not any(token in ended.out + ended.err for token in TOKENS.values())


def test_the_schema_is_json(dongbo: Any) -> None:
    """For editors."""
    assert json.loads(dongbo("config", "schema").out)["title"] == "dongbo configuration"


def test_a_sandbox_s_credentials_are_all_good(tmp_path: Path) -> None:
    """Each job type can run."""
    findings = check_on_sandbox(tmp_path / "a.toml", lambda _sandbox: None)
    assert {finding.level for finding in findings} == {Severity.OK}
    assert details(findings, Severity.OK).count("can run") == 5


SYNC = """
[stores.main.product_sync]
locations = {{ "{location}" = [{depot}] }}
price = "retail"
[stores.main.customer_sync]
"""


def check_sync(
    path: Path,
    *,
    location: int | None = None,
    depot: int | None = None,
    scopes: Collection[str] = ALL_SCOPES,
    change: Callable[[Sandbox], None] = lambda _: None,
) -> list[Finding]:
    """What is found where stock, prices and customers are to be pushed; the sandbox's first places unless others."""

    async def run() -> list[Finding]:
        async with running_sandbox(SandboxSettings(products=3, customers=3)) as sandbox:
            place = next(iter(sandbox.shopify.locations.values()))
            sandbox.shopify.scopes = frozenset(scopes)
            change(sandbox)
            chosen = SYNC.format(location=location or place.id, depot=depot or place.depot_id)
            settings = load_settings(configuration(path, sandbox.nhanh_url, sandbox.shopify_url, more=chosen))
            return await check_stores(settings, resolve_secrets(settings, TOKENS))

    return asyncio.run(run())


def test_depots_and_locations_are_listed_for_the_configuration(tmp_path: Path) -> None:
    """With their names, and the scopes of the configured pushes are looked at, too."""
    findings = check_sync(tmp_path / "a.toml")
    assert {finding.level for finding in findings} == {Severity.OK}
    said = details(findings, Severity.OK)
    assert "depots: 1001 (Kho Hà Nội)" in said
    assert "(Kho Hà Nội)" in said.partition("locations: ")[2]
    assert "SYNC_PRODUCTS can run" in said
    assert "SYNC_CUSTOMERS can run" in said


def test_places_that_are_not_there_are_failures(tmp_path: Path) -> None:
    """A wrong number of a depot or a location is found before anything is pushed."""
    said = details(check_sync(tmp_path / "a.toml", location=4711), Severity.FAILED)
    assert "locations that can't receive stock: 4711 is not there" in said
    assert "can't see: 4712" in details(check_sync(tmp_path / "b.toml", depot=4712), Severity.FAILED)


def test_a_depot_that_the_token_may_not_see_is_a_failure(tmp_path: Path) -> None:
    """Being listed is not enough: the token may be limited to other depots."""

    def limit(sandbox: Sandbox) -> None:
        sandbox.nhanh.depot_ids = [sandbox.catalogue.depots[1].id]

    assert "can't see: 1001" in details(check_sync(tmp_path / "a.toml", change=limit), Severity.FAILED)


def test_a_closed_location_is_a_failure_with_its_name(tmp_path: Path) -> None:
    """What stops the stock of one location is told before a sync leaves it out."""

    def close(sandbox: Sandbox) -> None:
        sandbox.shopify.close_location(next(iter(sandbox.shopify.locations)))

    assert "(Kho Hà Nội) is deactivated" in details(check_sync(tmp_path / "a.toml", change=close), Severity.FAILED)


def test_the_currency_is_named_and_another_one_is_a_failure(tmp_path: Path) -> None:
    """The shop's currency and whether its prices include the tax; amounts of Nhanh.vn's do not fit another one."""
    said = details(check_sync(tmp_path / "a.toml"), Severity.OK)
    assert "the shop's currency is VND, its prices include the tax" in said

    def move(sandbox: Sandbox) -> None:
        sandbox.shopify.profile.currency = "USD"

    findings = check_sync(tmp_path / "b.toml", change=move)
    assert "the shop's currency is USD" in details(findings, Severity.OK)
    assert "Nhanh.vn's amounts are in VND: no prices and no totals will be pushed" in details(findings, Severity.FAILED)
    assert not any("without VAT" in finding.detail for finding in findings), "Shopify gets none of them"


def test_three_products_are_shown_with_both_figures(tmp_path: Path) -> None:
    """What a price would come to, with VAT and without; and where VAT is not known."""

    def change(sandbox: Sandbox) -> None:
        _, second, *_ = numbers = list(sandbox.nhanh.products)
        for number in numbers:
            sandbox.nhanh.change_product(number, code=f"SP{number}", price=Decimal(100_000), price_vat_mode=2, vat=10)
        sandbox.nhanh.change_product(second, vat=None)

    findings = [found for found in check_sync(tmp_path / "a.toml", change=change) if found.subject == "main prices"]
    assert [finding.level for finding in findings] == [Severity.OK, Severity.WARNING, Severity.OK]
    assert "100,000 VND without VAT, 110,000 VND with 10 %: Shopify gets 110,000 VND" in findings[0].detail
    assert "VAT, which is not known: it gets no price" in findings[1].detail


def test_missing_scopes_of_a_push_are_failures(tmp_path: Path) -> None:
    """Reading is not writing: without the scopes for it a push is announced as impossible."""

    said = details(check_sync(tmp_path / "a.toml", scopes=READ_SCOPES), Severity.FAILED)
    assert "SYNC_PRODUCTS can't run: write_inventory, write_products are not granted" in said
    assert "SYNC_CUSTOMERS can't run: write_customers is not granted" in said
    assert "missing scopes: write_customers,write_inventory,write_products" in said


def test_a_token_that_expires_soon_is_a_warning_and_an_expired_one_a_failure(tmp_path: Path) -> None:
    """A month is the time to act in."""

    def in_days(days: float) -> Callable[[Sandbox], None]:
        def change(sandbox: Sandbox) -> None:
            sandbox.nhanh.expires_at = int(datetime.now(UTC).timestamp() + days * 86400)

        return change

    soon = check_on_sandbox(tmp_path / "a.toml", in_days(10.5))
    assert "expires in 10 days" in details(soon, Severity.WARNING)
    assert details(soon, Severity.FAILED) == ""
    expired = check_on_sandbox(tmp_path / "a.toml", in_days(-2))
    assert details(expired, Severity.FAILED) != ""


def test_a_token_of_some_depots_is_a_warning(tmp_path: Path) -> None:
    """Stock in the others is silently missing: this is where a person learns of it."""

    def limit(sandbox: Sandbox) -> None:
        sandbox.nhanh.depot_ids = [sandbox.catalogue.depots[0].id]

    assert "stock in all others is silently missing" in details(
        check_on_sandbox(tmp_path / "a.toml", limit), Severity.WARNING
    )


def test_a_missing_permission_names_the_job(tmp_path: Path) -> None:
    """Nhanh's permissions and Shopify's scopes, in terms of jobs."""

    def restrict(sandbox: Sandbox) -> None:
        sandbox.nhanh.permissions.discard("customer/list")
        sandbox.shopify.scopes = frozenset({"read_products", "read_inventory"})

    findings = check_on_sandbox(tmp_path / "a.toml", restrict)
    failed = [finding for finding in findings if finding.level is Severity.FAILED]
    assert [finding.subject for finding in failed] == [
        "main nhanh PULL_NHANH_CUSTOMERS",
        "main shopify",
        "main shopify",
    ]
    assert "PULL_SHOPIFY_CUSTOMERS can't run: read_customers is not granted" in failed[1].detail
    assert failed[2].detail == "missing scopes: read_customers"
    assert "PULL_NHANH_PRODUCTS can run" in details(findings, Severity.OK)


def test_without_the_secret_key_the_token_is_tried_all_the_same(tmp_path: Path) -> None:
    """That the token works is found out by a call; there is no telling when it expires, and that is reported."""
    findings = check_on_sandbox(tmp_path / "a.toml", lambda _sandbox: None, with_key=False)
    assert "without the secret key, there is no telling when the access token expires" in details(
        findings, Severity.WARNING
    )
    assert "PULL_NHANH_CUSTOMERS can run" in details(findings, Severity.OK)


def test_a_wrong_token_is_a_failure_for_every_job(tmp_path: Path) -> None:
    """What Nhanh says is told, without the token."""

    def change(sandbox: Sandbox) -> None:
        sandbox.nhanh.token = "another"
        sandbox.shopify.token = "another"

    findings = check_on_sandbox(tmp_path / "a.toml", change)
    assert {finding.level for finding in findings} == {Severity.FAILED}
    assert not any(token in details(findings, Severity.FAILED) for token in TOKENS.values())


@pytest.mark.parametrize(("attempts", "level"), [(3, Severity.OK), (1, Severity.WARNING)])
def test_limits_that_others_use_up_are_no_failure(
    tmp_path: Path, attempts: int, level: Severity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon itself may be busy with the same store: its points are waited for, for a while."""

    def change(sandbox: Sandbox) -> None:
        sandbox.faults.next(Fault.RATE_LIMITED, path="graphql.json")

    assert stores.SHOPIFY_BACKOFF.rate_limited_attempts > 3
    monkeypatch.setattr(stores, "SHOPIFY_BACKOFF", Backoff(attempts=1, rate_limited_attempts=attempts))
    findings = check_on_sandbox(tmp_path / "a.toml", change)
    assert {finding.level for finding in findings if "shopify" in finding.subject} - {Severity.OK} == {level} - {
        Severity.OK
    }
    assert details(findings, Severity.FAILED) == ""


# ── What the sources say besides ────────────────────────────────────────────────────────────────────────────────────


def test_protected_customer_data_is_found_by_reading_a_customer(tmp_path: Path) -> None:
    """The scopes are all granted, and yet no phone number can be read: that must not surprise the first pull."""

    def protect(sandbox: Sandbox) -> None:
        sandbox.shopify.troubles.protected |= {"defaultPhoneNumber"}

    said = details(check_on_sandbox(tmp_path / "a.toml", protect), Severity.WARNING)
    assert "protected customer data from the app: phone number" in said
    assert "Protected customer data access" in said


def test_another_version_of_the_api_is_found(tmp_path: Path) -> None:
    """After its end a version is replaced by another without a word but in a header."""

    def fall_forward(sandbox: Sandbox) -> None:
        sandbox.shopify.troubles.served_version = "2027-07"
        sandbox.shopify.troubles.deprecated_reason = "https://shopify.dev/changelog/x"

    said = details(check_on_sandbox(tmp_path / "a.toml", fall_forward), Severity.WARNING)
    assert "version 2027-07 of its API instead of 2026-10" in said
    assert "https://shopify.dev/changelog/x" in said
    assert "supported until 2027-10-01" in details(check_on_sandbox(tmp_path / "b.toml", lambda _: None), Severity.OK)


def test_a_metafield_that_can_not_hold_the_total_is_found(tmp_path: Path) -> None:
    """Before the first sync, and with the type that is used where it can."""

    def check(type_: str) -> list[Finding]:
        async def run() -> list[Finding]:
            async with running_sandbox(SandboxSettings(products=3, customers=3)) as sandbox:
                sandbox.shopify.define_metafield("custom.total_spent", type_)
                path = tmp_path / f"{type_}.toml"
                more = "[stores.main.customer_sync]\n"
                settings = load_settings(configuration(path, sandbox.nhanh_url, sandbox.shopify_url, more=more))
                return await check_stores(settings, resolve_secrets(settings, TOKENS))

        return asyncio.run(run())

    assert "custom.total_spent as boolean" in details(check("boolean"), Severity.FAILED)
    assert "custom.total_spent is written as number_decimal" in details(check("number_decimal"), Severity.OK)


def test_one_finding_about_customers_does_not_hide_another(tmp_path: Path) -> None:
    """Fields that are kept back are told though the metafield can't hold the total, which is a failure."""

    async def run() -> list[Finding]:
        settings = SandboxSettings(products=20, customers=20, situations=("protected-fields", "metafield-type"))
        async with running_sandbox(settings) as sandbox:
            path, more = tmp_path / "a.toml", "[stores.main.customer_sync]\n"
            loaded = load_settings(configuration(path, sandbox.nhanh_url, sandbox.shopify_url, more=more))
            return await check_stores(loaded, resolve_secrets(loaded, TOKENS))

    findings = asyncio.run(run())
    assert "custom.total_spent as boolean" in details(findings, Severity.FAILED)
    assert "protected customer data" in details(findings, Severity.WARNING)


def test_the_proxy_is_named_without_its_password(dongbo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which proxy the calls went through, and that it is the proxy that can't be reached."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden-word@127.0.0.1:9")
    monkeypatch.setattr(stores, "BACKOFF", Backoff(attempts=1))
    monkeypatch.setattr(stores, "SHOPIFY_BACKOFF", Backoff(attempts=1))
    path = configuration(tmp_path / "a.toml", "https://nhanh.example", "https://shopify.example")
    shown = dongbo("check", "--live", "--config", str(path))
    said = " ".join(shown.out.split())
    assert "calls go through the proxy http://127.0.0.1:9 (HTTPS_PROXY)" in said
    assert "can't be reached through the proxy http://127.0.0.1:9 (HTTPS_PROXY)" in said
    assert "hidden-word" not in shown.out + shown.err
