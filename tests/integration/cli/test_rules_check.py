"""What `dongbo check --live` says of the rules of a store, by the mirror in the database."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from daemon.api.findings import Finding
from daemon.cli.checks.rules import check_rules
from daemon.config import ResolvedSecrets, Settings, parse_settings
from daemon.database.pool import Database
from tests.support.mirror_tables import PRODUCT, STORE, Tables

RULES = """
[stores.main.nhanh]
app_id = 1
business_id = 2
access_token = { env = "A" }
secret_key = { env = "B" }
[stores.main.product_sync]
locations = { "31" = [1] }
price = "retail"
[[stores.main.rules]]
name = "shoes"
when = { type = "giày" }
reserve = 2
[[stores.main.rules]]
name = "last pieces"
when = { stock = { to = 3 } }
maximum = 0
[[stores.main.rules]]
name = "misspelt"
when = { vendor = "Nikke" }
skip = true
"""


@pytest.fixture
def settings() -> Settings:
    """A store with three rules."""
    return parse_settings(RULES, source="x")


@pytest.fixture
def tables(database: Database) -> Tables:
    """Writes into the mirror."""
    return Tables(database)


async def found(settings: Settings, database_url: str, directory: Path) -> list[Finding]:
    """What is said of the rules with a database at this address."""
    return await check_rules(settings, ResolvedSecrets(SecretStr(database_url), None, {}), directory)


async def test_a_rule_that_bears_on_nothing_is_told(
    settings: Settings, tables: Tables, database_url: str, tmp_path: Path
) -> None:
    """And of the others, on how many variants they do."""
    shoes = {"store": STORE, "id": PRODUCT, "title": "Giày", "product_type": "GIÀY", "tags": [], "vendor": "Nike"}
    await tables.insert("shopify_products", shoes | {"document": "{}", "digest": b""})
    await tables.variant()
    await tables.nhanh()
    await tables.stock(1, 3)
    await tables.mapping()
    assert [(one.level, one.detail) for one in await found(settings, database_url, tmp_path)] == [
        ("ok", "“shoes” bears on 1 mapped variant"),
        ("ok", "“last pieces” bears on 1 mapped variant"),
        ("warning", "“misspelt” bears on no mapped variant"),
    ]


async def test_nothing_is_said_to_be_misspelt_before_anything_is_mapped(
    settings: Settings, database: Database, database_url: str, tmp_path: Path
) -> None:
    """An empty mirror says nothing about a rule."""
    (one,) = await found(settings, database_url, tmp_path)
    assert (one.level, one.subject) == ("ok", "main.rules")
    assert one.detail == "no product is mapped yet, on which they could bear"


async def test_a_database_that_is_not_there_is_no_matter_of_rules(settings: Settings, tmp_path: Path) -> None:
    """The check of the database says so itself; without a database of its own running, there is nothing to ask."""
    assert await found(settings, "postgresql://nobody@127.0.0.1:1/none", tmp_path) == []
    assert await check_rules(settings, ResolvedSecrets(None, None, {}), tmp_path) == []
