"""What a file may say of stock held back and of rules, and what is said of mistakes in them."""

import jsonschema
import pytest

from daemon.config import RuleSettings, StoreSettings, json_schema, parse_settings
from daemon.errors import ConfigError
from daemon.ids import StoreName

STORE = """
[stores.main.nhanh]
app_id = 1
business_id = 2
access_token = { env = "A" }
secret_key = { env = "B" }
[stores.main.product_sync]
"""
STOCK = 'locations = { "31" = [1], "32" = [2] }\n'
PRICES = 'price = "retail"\n'


def rule(text: str, name: str = "one") -> str:
    """A table with a rule."""
    return f'[[stores.main.rules]]\nname = "{name}"\n{text}\n'


def store_of(text: str) -> StoreSettings:
    """The store that a file describes."""
    return parse_settings(text, source="x").stores[StoreName("main")]


def problems(text: str) -> list[str]:
    """What is said about a file, without its name and the lines."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, source="x")
    return [problem.split(": ", 1)[1] for problem in caught.value.problems]


def test_a_single_value_stands_for_a_list() -> None:
    """So do words and ids; ranges have both ends or one."""
    text = rule('when = { vendor = "Nike", category = 301, price = { from = 1.5, to = 2 } }\nreserve = 1')
    (found,) = store_of(STORE + STOCK + PRICES + text).rules
    assert (found.when.vendor, found.when.category) == (("Nike",), (301,))
    assert found.when.price is not None
    assert (str(found.when.price.lowest), str(found.when.price.highest)) == ("1.5", "2")
    assert found.effects == {"reserve": 1}


def test_the_rules_come_to_the_sync_with_its_settings() -> None:
    """In their order; what an effect says that is false is not lost."""
    text = rule('when = { tag = "a" }\nskip = false', "first") + rule('when = { tag = "b" }\nskip = true', "second")
    sync = store_of(STORE + STOCK + text).ruled_product_sync
    assert sync is not None
    assert [(one.name, one.effects) for one in sync.rules] == [("first", {"skip": False}), ("second", {"skip": True})]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (rule("when = {}\nskip = true"), "stores.main.rules[0].when: says nothing: name at least one of vendor, tag,"),
        (rule('when = { tag = "a" }'), "stores.main.rules[0]: does nothing: add at least one of skip, ask, reserve,"),
        (rule("when = { tag = [] }\nskip = true"), "stores.main.rules[0].when.tag: names none: leave it out"),
        (rule("when = { tag = 7 }\nskip = true"), "stores.main.rules[0].when.tag: must be text in quotes"),
        (rule('when = { brand = "x" }\nskip = true'), "stores.main.rules[0].when.brand: must be a whole number"),
        (rule("when = { stock = {} }\nask = true"), "stores.main.rules[0].when.stock: says nothing: add from, to or"),
        (
            rule("when = { stock = { from = 3, to = 2 } }\nask = true"),
            "stores.main.rules[0].when.stock: no figure is from 3 to 2: from lies above to",
        ),
        (
            rule("when = { stock = { to = 2 } }\nhold_price = true"),
            "stores.main.rules[0]: hold_price is about the whole variant, which has a stock at each location",
        ),
        (
            rule('when = { tag = "a" }\nskip = true\nreserve = 1'),
            "stores.main.rules[0]: skip leaves the whole variant alone, so that reserve would do nothing",
        ),
        (rule('when = { tag = "a" }\nreserve = -1'), "stores.main.rules[0].reserve: must be at least 0, not -1"),
        (
            rule('when = { tag = "a" }\nskip = true', "a, b"),
            "stores.main.rules[0].name: must be 1 to 63 characters without commas and semicolons",
        ),
        (
            rule('when = { tag = "a" }\nskip = true', "One") + rule('when = { tag = "b" }\nskip = true'),
            'stores.main.rules[1].name: "one" is the name of stores.main.rules[0] already',
        ),
        (
            "[[stores.main.product_sync.rules]]\nname = 'x'\nwhen = { tag = 'a' }\nskip = true",
            "stores.main.product_sync: has no rules of its own: write them as [[stores.NAME.rules]]",
        ),
    ],
)
def test_what_makes_no_sense_is_told(text: str, problem: str) -> None:
    """Each mistake with its key, and what to do about it."""
    (found,) = problems(STORE + STOCK + PRICES + text)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("sync", "text", "problem"),
    [
        (STOCK, rule("when = { price = { from = 1 } }\nskip = true"), "goes by the price that a sync would set"),
        (STOCK, rule('when = { tag = "a" }\nhold_price = true'), "would hold prices that no sync sets"),
        (PRICES, rule('when = { tag = "a" }\nreserve = 2'), "is about stock, which no sync sets"),
        (PRICES, rule("when = { stock = { to = 2 } }\nask = true"), "is about stock, which no sync sets"),
        (STOCK + 'shares = { "33" = 50 }\n', "", "location 33 gets no stock at all: name its depots in locations"),
        (STOCK + 'shares = { "31" = 101 }\n', "", "must be at most 100, not 101"),
        (STOCK + "reserve = -1\n", "", "must be at least 0, not -1"),
    ],
)
def test_what_the_sync_can_not_do_is_told(sync: str, text: str, problem: str) -> None:
    """A rule about prices needs prices to sync, one about stock locations."""
    (found,) = problems(STORE + sync + text)
    assert problem in found


def test_rules_need_something_to_sync() -> None:
    """Without a table .product_sync they would do nothing."""
    text = STORE.removesuffix("[stores.main.product_sync]\n") + rule('when = { tag = "a" }\nskip = true')
    assert problems(text) == ["stores.main.rules: need something to sync: add a table .product_sync to the store"]


@pytest.mark.parametrize("tag", ["a", ["a", "b"], 7, []])
def test_editors_know_what_a_condition_may_be(tag: object) -> None:
    """The schema takes one word or several, as the settings do, and nothing else."""
    document = {"name": "x", "when": {"tag": tag}, "skip": True}
    schema = json_schema()
    schema = {"$defs": schema["$defs"], "$ref": "#/$defs/RuleSettings"}
    is_right = tag in ("a", ["a", "b"])
    if is_right:
        jsonschema.validate(document, schema)
        RuleSettings.model_validate(document)
        return
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    with pytest.raises(ValueError):
        RuleSettings.model_validate(document)
