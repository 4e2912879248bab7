"""`dongbo webhooks` against the sandbox's Shopify: what is subscribed to, what is said, and how the commands end."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.server import Sandbox, SandboxSettings
from daemon.webhooks.subscriptions import topic_name
from tests.support.cli_processes import DONGBO, Outcome, start, stop
from tests.support.commanded_shop import sandbox_in_a_thread

SECRETS = {
    "N": "sandbox-nhanh-access-token",
    "K": "sandbox-nhanh-secret-key",
    "T": "a-token-of-more-than-sixteen",
    "S": "shpat_sandbox",
    "W": "what-webhooks-are-signed-with",
}
URL = "https://hooks.example.com"
OTHER = "https://other.example.com/webhooks/shopify/main"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The commands are processes."""
    with sandbox_in_a_thread(SandboxSettings(products=3, customers=3, limits=False)) as running:
        yield running


@pytest.fixture
def config(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A store that pushes stock and customers, and is told by webhooks."""
    path = tmp_path / "dongbo.toml"
    path.write_text(
        f"""
[status]
listen = "unix:{tmp_path}/s.sock"
[webhooks]
url = "{URL}"
[stores.main.nhanh]
app_id = 73001
business_id = 110668
access_token = {{ env = "N" }}
secret_key = {{ env = "K" }}
webhook_token = {{ env = "T" }}
base_url = "{sandbox.nhanh_url}"
[stores.main.shopify]
shop = "sandbox"
access_token = {{ env = "S" }}
webhook_secret = {{ env = "W" }}
base_url = "{sandbox.shopify_url}"
[stores.main.product_sync]
locations = {{ "{next(iter(sandbox.shopify.locations))}" = [1] }}
[stores.main.customer_sync]
"""
    )
    return path


def dongbo(config: Path, *arguments: str, **variables: str) -> Outcome:
    """A command without a terminal."""
    environment = {**os.environ, **SECRETS, **variables, "STATE_DIRECTORY": str(config.parent)}
    ended = subprocess.run(
        [*DONGBO, *arguments, "--config", str(config)],
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def subscribed(sandbox: Sandbox, uri: str = f"{URL}/webhooks/shopify/main") -> set[str]:
    """What an address is told of."""
    return {topic_name(each.topic) for each in sandbox.shopify.webhooks.subscriptions.values() if each.uri == uri}


def test_install_subscribes_and_says_what_to_enter_at_nhanh(config: Path, sandbox: Sandbox) -> None:
    """All at once, the second time without doing anything; the token itself is never shown."""
    installed = dongbo(config, "webhooks", "install")
    assert installed.code == 0, installed.err
    assert {"products/update", "inventory_levels/update", "customers/update"} <= subscribed(sandbox)
    assert "https://hooks.example.com/webhooks/nhanh/main" in installed.out
    assert "what the environment variable T holds" in installed.out
    assert "inventoryChange" in installed.out
    assert "a-token-of-more-than-sixteen" not in installed.out
    again = dongbo(config, "webhooks", "install", "main", "--json")
    (finding,) = again.document["shopify"]
    assert (finding["level"], again.code) == ("ok", 0)
    (entry,) = again.document["nhanh"]
    assert entry["verify_token"] == {"env": "T"}
    assert entry["callback_url"] == f"{URL}/webhooks/nhanh/main"


def test_nothing_is_subscribed_to_that_would_be_refused(config: Path, sandbox: Sandbox) -> None:
    """An app of before 2026 signs in by a token alone: by what it signs webhooks has to be said."""
    config.write_text(config.read_text().replace('webhook_secret = { env = "W" }\n', ""))
    installed = dongbo(config, "webhooks", "install", "--json")
    (finding,) = installed.document["shopify"]
    assert (finding["level"], installed.code) == ("failed", 1)
    assert "webhook_secret" in finding["advice"]
    assert subscribed(sandbox) == set()
    checked = dongbo(config, "check", "--live", "--json")
    (told,) = [each for each in checked.document["live"] if each["subject"] == "main shopify webhooks"]
    assert (told["level"], told["detail"]) == ("warning", finding["detail"])


def test_install_leaves_other_addresses_alone(config: Path, sandbox: Sandbox) -> None:
    """They are named, with the command that removes them, which removes nothing else."""
    sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", OTHER)
    installed = dongbo(config, "webhooks", "install")
    assert installed.code == 0
    assert f"dongbo webhooks remove main --address {OTHER}" in installed.out
    removed = dongbo(config, "webhooks", "remove", "main", "--address", OTHER, "--yes")
    assert removed.code == 0
    assert subscribed(sandbox, OTHER) == set()
    assert "products/update" in subscribed(sandbox)


def test_a_refusal_is_told_and_the_rest_is_done(config: Path, sandbox: Sandbox) -> None:
    """Without the scope for stock, products are told nevertheless; what is left has a next step."""
    sandbox.shopify.scopes = frozenset({"read_products", "read_customers"})
    installed = dongbo(config, "webhooks", "install")
    assert "products/update" in subscribed(sandbox)
    assert "read_inventory" in installed.out
    assert "inventory_levels/update" not in subscribed(sandbox)


def test_list_shows_each_subscription_and_what_is_missing(config: Path, sandbox: Sandbox) -> None:
    """Ours, those with other fields, those of other addresses, and the topics without one."""
    sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", f"{URL}/webhooks/shopify/main", ["id"])
    sandbox.shopify.webhooks.subscribe("SHOP_UPDATE", f"{URL}/webhooks/shopify/main")
    sandbox.shopify.webhooks.subscribe("CUSTOMERS_UPDATE", OTHER)
    shown = dongbo(config, "webhooks", "list", "--json")
    states = {(row["topic"], row["address"]): row["state"] for row in shown.document["subscriptions"]}
    ours = f"{URL}/webhooks/shopify/main"
    assert states["products/update", ours] == "other fields"
    assert states["SHOP_UPDATE", ours] == "not used"
    assert states["customers/update", OTHER] == "other address"
    assert states["customers/update", ours] == "missing"
    table = dongbo(config, "webhooks", "list")
    assert (table.code, "TOPICS" in table.out) == (0, True)
    assert "no daemon answers" in table.err


def test_remove_wants_consent_and_removes_only_ours(config: Path, sandbox: Sandbox) -> None:
    """Without a terminal, by --yes."""
    dongbo(config, "webhooks", "install")
    sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", OTHER)
    refused = dongbo(config, "webhooks", "remove")
    assert refused.code == 2
    assert subscribed(sandbox)
    removed = dongbo(config, "webhooks", "remove", "--yes")
    assert removed.code == 0
    assert subscribed(sandbox) == set()
    assert subscribed(sandbox, OTHER) == {"products/update"}


@pytest.mark.parametrize(
    ("arguments", "change", "code", "said"),
    [
        (("install",), f'url = "{URL}"', 78, "[webhooks] url"),
        (("install", "nobody"), "", 2, "which store? one of main"),
    ],
)
def test_what_is_not_configured_is_said(
    config: Path, arguments: tuple[str, ...], change: str, code: int, said: str
) -> None:
    """An address that is missing, a store that there is not."""
    config.write_text(config.read_text().replace(change, "") if change else config.read_text())
    ended = dongbo(config, "webhooks", *arguments)
    assert (ended.code, said in ended.err) == (code, True)


def test_check_live_compares(config: Path, sandbox: Sandbox) -> None:
    """What is missing is a warning with the next step; once installed, all is well."""

    def findings() -> list[dict[str, Any]]:
        live = json.loads(dongbo(config, "check", "--live", "--json").out)["live"]
        return [each for each in live if each["subject"] == "main shopify webhooks"]

    (missing,) = findings()
    assert missing["level"] == "warning"
    assert "products/update" in missing["detail"]
    assert missing["advice"] == "run `dongbo webhooks install main`"
    dongbo(config, "webhooks", "install")
    (right,) = findings()
    assert right["level"] == "ok"
    sandbox.shopify.webhooks.subscribe("PRODUCTS_UPDATE", OTHER)
    assert {each["level"] for each in findings()} == {"ok", "warning"}


@pytest.fixture
def daemon(config: Path, postgres_server: Any, migrated_template: str) -> Iterator[Path]:
    """A running daemon that others reach by the address that it listens on; its configuration."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with postgres_server.new_database(migrated_template) as name:
        text = config.read_text().replace(f'url = "{URL}"', f'listen = "{address}"\nurl = "http://{address}"')
        config.write_text(f'[database]\nurl = "{postgres_server.url(name)}"\n{text}')
        process, _announced = start("run", "--config", str(config), **SECRETS)
        yield config
        assert stop(process) == 0


def test_a_test_of_each_side_arrives(daemon: Path) -> None:
    """By the public address, into the inbox; the list shows both, and neither needed a job."""
    arrived = dongbo(daemon, "webhooks", "test", "--json")
    assert arrived.code == 0, arrived.out
    assert [each["level"] for each in arrived.document] == ["ok", "ok"]
    listed = dongbo(daemon, "webhooks", "list", "--json").document
    assert {(event["topic"], event["state"]) for event in listed["events"]} == {
        ("webhooksEnabled", "NOTED"),
        ("dongbo/test", "NOTED"),
    }
    assert all(stream["unknown"] == 0 for stream in listed["streams"])
    shown = dongbo(daemon, "webhooks", "list").out
    assert "dongbo/test" in shown
    assert SECRETS["T"] not in arrived.out + shown


def test_what_stands_in_the_way_is_said(daemon: Path) -> None:
    """Another secret than that of the daemon; a side that has none."""
    elsewhere = dongbo(daemon, "webhooks", "test", "--json", T="quite-another-token-than-that", W="another-secret")
    assert elsewhere.code == 1
    assert all("HTTP 401" in each["detail"] for each in elsewhere.document)
    daemon.write_text(daemon.read_text().replace('webhook_secret = { env = "W" }', ""))
    lacking = dongbo(daemon, "webhooks", "test", "--json")
    by_subject = {each["subject"]: each for each in lacking.document}
    assert by_subject["main nhanh webhooks"]["level"] == "ok"
    assert "webhook_secret" in by_subject["main shopify webhooks"]["advice"]


def test_without_a_daemon_the_subscriptions_are_shown(config: Path) -> None:
    """And nothing is said of events."""
    shown = dongbo(config, "webhooks", "list", "--json")
    assert shown.code == 0, shown.err
    assert shown.document["events"] is None
