"""What the configuration says of alerts and the heartbeat, and what it refuses."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from daemon.config import (
    AlertSettings,
    Settings,
    inspect_secrets,
    parse_settings,
    renewed_secrets,
    secret_files_version,
)
from daemon.config.settings import HeartbeatSettings
from daemon.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "config" / "dongbo.toml"
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
STORES = """
[stores.main.shopify]
shop = "my-shop"
access_token = { env = "SHOPIFY_TOKEN" }
"""


def alert(**keys: Any) -> AlertSettings:
    """A channel of these keys."""
    return AlertSettings.model_validate({"name": "phone", "url": {"env": "ALERT"}, **keys})


def problems(text: str) -> str:
    """What is wrong with a file that has these tables besides a store."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(STORES + text, source="dongbo.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('stores = ["mian"]', 'there is no store "mian" in this file (stores: "main")'),
        ('severity = "worse"', '"worse" is unknown'),
        ('conditions = ["lat"]', '"lat" is unknown; did you mean "late"?'),
        ('quiet_hours = "22-7"', 'must be two times of a day, such as "22:00-07:00"'),
        ('quiet_hours = "22:00-22:00"', "begins and ends at the same time"),
        ("after_minutes = -1", "must be at least 0"),
        ('language = "fr"', '"fr" is unknown'),
        ("every = 5", "unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_line(keys: str, said: str) -> None:
    """So that a person corrects it before an alarm is due."""
    found = problems(f'[[alerts]]\nname = "phone"\nurl = {{ env = "ALERT" }}\n{keys}\n')
    assert found.startswith("dongbo.toml:8: alerts[0].")
    assert said in found


def test_a_url_does_not_stand_in_the_file() -> None:
    """It holds the token of a bot, or the password of a mailbox."""
    found = problems('[[alerts]]\nname = "phone"\nurl = "tgram://123:secret/5"\n')
    assert "a secret does not belong in this file" in found
    assert "123:secret" not in found


def test_names_are_unique_and_not_that_of_the_heartbeat() -> None:
    """What was told is known by the name."""
    channel = '[[alerts]]\nname = "{}"\nurl = {{ env = "ALERT" }}\n'
    assert '"phone" is the name of alerts[0] already' in problems(channel.format("phone") * 2)
    assert '"heartbeat" means the [heartbeat]' in problems(channel.format("heartbeat"))


@pytest.mark.parametrize(
    ("hours", "local", "quiet"),
    [
        ("22:00-07:00", "21:59", False),
        ("22:00-07:00", "22:00", True),
        ("22:00-07:00", "06:59", True),
        ("22:00-07:00", "07:00", False),
        ("12:00-13:30", "13:29", True),
        ("12:00-13:30", "13:30", False),
        (None, "03:00", False),
    ],
)
def test_quiet_hours_are_by_the_shop_s_clock(hours: str | None, local: str, quiet: bool) -> None:
    """With their beginning, without their end, over midnight or not."""
    moment = datetime.fromisoformat(f"2026-11-29T{local}:00").replace(tzinfo=ZONE).astimezone(UTC)
    assert alert(quiet_hours=hours).is_quiet(moment, ZONE) is quiet


def settings_with(url: str = "ALERT") -> Settings:
    """A channel and a heartbeat, whose addresses are in the environment."""
    heartbeat = HeartbeatSettings.model_validate({"url": {"env": "BEAT"}})
    return Settings(alerts=(alert(url={"env": url}),), heartbeat=heartbeat)


def test_the_addresses_are_secrets() -> None:
    """They are read from where they are kept, and never shown."""
    environ = {"ALERT": "tgram://123456:secret-of-a-bot/5", "BEAT": "https://hc-ping.com/secret-of-a-check"}
    secrets, problems = inspect_secrets(settings_with(), environ)
    assert problems == ()
    assert secrets.alert_urls == {"phone": SecretStr(environ["ALERT"])}
    assert secrets.heartbeat_url == SecretStr(environ["BEAT"])
    assert "secret-of" not in repr(secrets)


def test_what_is_no_address_is_refused_without_being_quoted() -> None:
    """Whoever mistypes it has still typed a secret."""
    _secrets, problems = inspect_secrets(settings_with(), {"ALERT": "secret-of-a-bot", "BEAT": "ftp://secret-check"})
    assert len(problems) == 2
    assert problems[0].startswith("alerts[0].url: is not an Apprise URL, such as tgram://")
    assert problems[1].startswith("heartbeat.url: is not a web address")
    assert not any("secret" in problem for problem in problems)


def test_an_address_that_can_t_be_read_anew_stays_as_it_was() -> None:
    """The other one is renewed all the same."""
    before = {"ALERT": "json://old", "BEAT": "https://old.example.com"}
    known, _problems = inspect_secrets(settings_with(), before)
    renewed, problems = renewed_secrets(settings_with(), known, {"BEAT": "https://new.example.com"})
    assert [problem.partition(":")[0] for problem in problems] == ["alerts[0].url"]
    assert renewed.alert_urls == known.alert_urls
    assert renewed.heartbeat_url == SecretStr("https://new.example.com")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    """As of every other secret that is kept in a file."""
    file = tmp_path / "alert"
    file.write_text("json://one")
    settings = Settings(alerts=(alert(url={"file": str(file)}),))
    before = secret_files_version(settings, {})
    file.write_text("json://another")
    assert secret_files_version(settings, {}) != before


def test_the_example_is_valid_and_shows_the_true_defaults() -> None:
    """Without its "#" it says everything that one can say."""
    block = EXAMPLE.read_text("utf-8").partition("# [[alerts]]\n")[2].partition("\n# A sale")[0]
    lines = [line.removeprefix("# ") for line in block.splitlines() if not line.startswith("# A dead")]
    document = tomllib.loads("[[alerts]]\n" + "\n".join(lines))
    settings = Settings.model_validate({"stores": tomllib.loads(STORES)["stores"], **document})
    (channel,) = settings.alerts
    assert channel.model_fields_set == set(AlertSettings.model_fields)
    for key in ("severity", "after_minutes", "bad_in_quiet_hours"):
        assert getattr(channel, key) == AlertSettings.model_fields[key].default
    assert settings.heartbeat is not None
    assert settings.heartbeat.model_dump() == {
        **settings.heartbeat.model_dump(),
        "every_minutes": HeartbeatSettings.model_fields["every_minutes"].default,
    }
