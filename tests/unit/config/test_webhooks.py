"""What the configuration says of webhooks, and what it refuses."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from daemon.config import Settings, UnixAddress, WebhookSettings, changed_parts, inspect_secrets
from daemon.ids import StoreName
from tests.support.hooks import STORES


def test_without_the_table_nobody_listens() -> None:
    """With it, on an address of this machine that is not the status endpoint's."""
    assert Settings().webhooks is None
    settings = Settings.model_validate({"webhooks": {}})
    assert settings.webhooks is not None
    assert (settings.webhooks.listen, settings.status.listen) == ("127.0.0.1:8766", "127.0.0.1:8765")
    assert WebhookSettings(listen="unix:/run/hooks.sock").address == UnixAddress("/run/hooks.sock")


@pytest.mark.parametrize("url", ["https://hooks.example.com", "https://hooks.example.com:8443/", "http://127.0.0.1:1"])
def test_the_public_address_is_of_a_host_alone(url: str) -> None:
    """Without TLS it is for this machine only."""
    assert WebhookSettings(url=url).url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example.com", "http://hooks.example.com", "https://", "https://x/path", "https://x?a=1"),
        *("https://x#a", "https://user@x", "https://x:99999", "ftp://x"),
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    """Neither side would deliver to it."""
    with pytest.raises(ValidationError, match="is not an https address without a path"):
        WebhookSettings(url=url)


@pytest.mark.parametrize("listen", ["8766", "127.0.0.1:x", "unix:hooks.sock"])
def test_an_unreadable_place_is_refused(listen: str) -> None:
    """As of the status endpoint."""
    with pytest.raises(ValidationError):
        WebhookSettings(listen=listen)


def secrets_of(token: str, **shopify: Any) -> Any:
    """What is read of the secrets of one store, and the problems."""
    store = {
        **STORES["main"],
        "nhanh": {**STORES["main"]["nhanh"], "webhook_token": {"env": "TOKEN"}},
        "shopify": {**STORES["main"]["shopify"], **shopify},
    }
    settings = Settings.model_validate({"stores": {"main": store}})
    environ = {"A": "a", "B": "b", "C": "c", "TOKEN": token, "HOOKS": "hush"}
    secrets, problems = inspect_secrets(settings, environ)
    return secrets.stores[StoreName("main")], problems


def test_secrets_are_read_like_the_others() -> None:
    """Both are optional."""
    secrets, problems = secrets_of("0123456789abcdef", webhook_secret={"env": "HOOKS"})
    assert problems == ()
    assert secrets.nhanh_webhook_token == SecretStr("0123456789abcdef")
    assert secrets.shopify_webhook_secret == SecretStr("hush")


@pytest.mark.parametrize("token", ["short", "x" * 129, "with a space in it", "tiếng Việt không dấu"])
def test_a_token_that_nhanh_would_not_take_is_refused(token: str) -> None:
    """Without being quoted."""
    _, [problem] = secrets_of(token)
    assert problem.startswith("stores.main.nhanh.webhook_token: Nhanh.vn takes")
    assert token not in problem


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, {}, ("webhooks",)),
        ({}, None, ("webhooks",)),
        ({}, {"url": "https://x"}, ()),
        ({}, {"listen": "127.0.0.1:1"}, ("webhooks.listen",)),
        ({}, {"max_body_kilobytes": 64}, ("webhooks.max_body_kilobytes",)),
    ],
)
def test_a_reload_says_what_takes_a_restart(before: Any, after: Any, expected: tuple[str, ...]) -> None:
    """The address under which others reach it is only told, so it does not."""
    old, new = (Settings.model_validate({} if table is None else {"webhooks": table}) for table in (before, after))
    assert changed_parts(old, new).restart_required == expected
