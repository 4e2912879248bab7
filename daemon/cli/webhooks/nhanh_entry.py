"""What somebody has to enter at open.nhanh.vn, where no API switches webhooks on."""

from collections.abc import Mapping
from typing import Any

from daemon.cli.render import output
from daemon.cli.webhooks.setup import WebhookSetup
from daemon.i18n import gettext as _
from daemon.jobs.types import Source
from daemon.webhooks.subscriptions import wanted_events, webhook_address

APPS = "https://open.nhanh.vn/apps"
NHANH_VERSION = "3.0"


def to_enter(setup: WebhookSetup) -> list[dict[str, Any]]:
    """What somebody has to enter at open.nhanh.vn for each app, which has one address for all its businesses."""
    entries: dict[int, dict[str, Any]] = {}
    for shop in setup.stores:
        nhanh = shop.settings.nhanh
        if nhanh is None:
            continue
        entry = entries.setdefault(
            nhanh.app_id,
            {
                "stores": [],
                "app_id": nhanh.app_id,
                "version": NHANH_VERSION,
                "callback_url": webhook_address(setup.url, Source.NHANH, shop.name),
                "verify_token": nhanh.webhook_token.model_dump(exclude_none=True) if nhanh.webhook_token else None,
                "events": [],
            },
        )
        entry["stores"].append(shop.name)
        entry["events"] += [event for event in wanted_events(shop.settings) if event not in entry["events"]]
    return list(entries.values())


def write_to_enter(entry: Mapping[str, Any]) -> None:
    """One app's part, for a person."""
    head = _("What to enter for {stores} at {apps}, in the app {app}, below Webhooks:").format(
        stores=", ".join(entry["stores"]), apps=APPS, app=entry["app_id"]
    )
    output.write_text(f"\n{head}\n")
    output.write_fields(
        {
            "Webhooks version": entry["version"],
            "Webhooks callback URL": entry["callback_url"],
            "Webhooks verify token": _token_words(entry["verify_token"]),
            _("Events"): ", ".join(entry["events"]),
        }
    )
    output.write_text("\n" + _("Save it while the daemon runs: Nhanh.vn tries the address at once."))


def _token_words(place: Mapping[str, str] | None) -> str:
    """Where the token is kept, which is shown to nobody."""
    match place:
        case {"env": name}:
            return _("what the environment variable {name} holds").format(name=name)
        case {"file": name}:
            return _("what the file {name} holds").format(name=name)
        case {"credential": name}:
            return _("what the credential {name} holds").format(name=name)
        case _:
            return _("none yet: make one by `openssl rand -hex 32`, and name its place by webhook_token")
