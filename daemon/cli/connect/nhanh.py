"""`dongbo connect nhanh`: from a person who agrees on Nhanh.vn to an access token that lives a year."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segno

from daemon.checks.credentials import try_pulls
from daemon.cli.checks.stores import BACKOFF
from daemon.cli.connect.callback import listening
from daemon.cli.connect.config_file import ConfigFile
from daemon.cli.connect.finish import keep
from daemon.cli.connect.interview import ask, ask_secret, confirm, is_interactive
from daemon.cli.connect.secret_places import SecretPlace, choose_place
from daemon.cli.event_loop import run_in_loop
from daemon.cli.render import output
from daemon.config import TcpAddress
from daemon.config.address import is_loopback, parse_listen
from daemon.config.encrypted_credentials import decrypt, encrypted_path, is_encrypted
from daemon.errors import ConfigError, DongboError, SourceError, SourceRefused
from daemon.ids import StoreName
from daemon.jobs.types import JobType
from daemon.logging import register_secret
from daemon.sources.http import open_session
from daemon.sources.limits import LimiterRegistry
from daemon.sources.nhanh.authorisation import (
    CODE_LIFETIME,
    OLD_TOKEN_LIFETIME,
    NewToken,
    exchange_code,
    login_address,
    read_code,
)
from daemon.sources.nhanh.client import BASE_URL, NhanhClient
from daemon.sources.nhanh.credential import NhanhCredential
from daemon.sources.nhanh.models import NhanhDepot
from daemon.terminal import drawable

EXAMPLE_APP = 1  # the placeholder in config/dongbo.toml

STEPS = """\
An access token of Nhanh.vn, once a year:

 1. Once for the business: on nhanh.vn, as director ("Giám đốc"), switch on
    "Cho phép kết nối Open API" under "Cài đặt chung" > "Cài đặt Open API".
 2. Once for the app: on https://open.nhanh.vn, under "Danh sách app", an app
    with a Redirect URL that begins with https:// (any page of yours will do: only
    the address that the browser ends up on counts). The app's page shows its
    App ID and its Secret key.
"""
LOGIN = """
 3. Open this address, log in as director, choose the permissions that are to be
    used (products, stock, customers, depots) and all depots ("Kho hàng"), and
    press "Đồng ý":
"""
PASTE = """
 4. The browser then shows an address with accessCode= in it, whatever is on the
    page. Paste it here; the code lives for {minutes} minutes.
"""


@dataclass(frozen=True, slots=True)
class NhanhAnswers:
    """What was given on the command line; None is asked for."""

    store: str | None
    app_id: int | None
    business_id: int | None
    secret_file: Path | None
    return_link: str | None
    listen: str | None
    code: str | None
    keep_in: str | None
    yes: bool


@dataclass(frozen=True, slots=True)
class NhanhTrial:
    """A new token, the depots that it sees, and for each pull why it can't run (None: it can)."""

    new: NewToken
    exchanged_at: datetime
    depots: Sequence[NhanhDepot]
    jobs: Mapping[JobType, str | None]


def connect_nhanh(answers: NhanhAnswers, config: Path | None, *, as_json: bool) -> None:
    """Show where to agree, take the code, exchange it, try the token, store it.

    Raises ConfigError, SourceError and ListenError; nothing is stored then.
    """
    file = ConfigFile(config)
    store = file.store(answers.store)
    present = file.table(store, "nhanh")
    base_url = file.base_url(store, "nhanh") or BASE_URL
    if answers.code is None:
        output.tell(STEPS)
    app_id = _app_id(answers, present)
    token_place, key_place = _places(answers, present, store, file.path)
    secret_key = _known_secret(key_place, answers.secret_file) or ask_secret("Secret key", answers.secret_file)
    register_secret(secret_key)
    business_id = answers.business_id or _known_business(present)
    keys = {
        "app_id": app_id,
        "business_id": business_id or 1,
        "access_token": token_place.toml,
        "secret_key": key_place.toml,
    }
    # Before the code is used up: afterwards the new token would be lost, and the old one ends.
    _check_places(token_place, key_place)
    file.edit(store, "nhanh", keys)
    confirm(
        f"Keep the token in {token_place.describe()}, and set [stores.{store}.nhanh] in {file.path}?",
        yes=answers.yes,
    )
    code = _code(answers, app_id, base_url)
    register_secret(code)
    trial = run_in_loop(_exchange_and_try(app_id, business_id, secret_key, code, base_url))
    _show(trial)
    edit = file.edit(store, "nhanh", keys | {"business_id": trial.new.access.business_id})
    kept = [(token_place, trial.new.token)]
    if key_place.path is not None and _known_secret(key_place, None) != secret_key:
        kept.append((key_place, secret_key))
    done = keep(file, edit, kept)
    old_ends = trial.exchanged_at + OLD_TOKEN_LIFETIME
    output.tell(_farewell(trial.exchanged_at))
    if as_json:
        output.write_json({"store": store, **_describe(trial), "old_token_ends_at": old_ends, **done})


def _farewell(exchanged_at: datetime) -> str:
    ends = (exchanged_at + OLD_TOKEN_LIFETIME).astimezone()
    return f"The token that was in use until now expires in {_minutes(OLD_TOKEN_LIFETIME)} minutes, at {ends:%H:%M}."


def _check_places(token: SecretPlace, key: SecretPlace) -> None:
    if token.path is None:
        raise ConfigError(
            f"this command can't keep the token in {token.describe()}, and it would be lost: use --keep-in file or"
            " --keep-in credential:NAME"
        )
    for place in (token, key):
        place.check()


def _app_id(answers: NhanhAnswers, present: Mapping[str, Any]) -> int:
    configured = _number(present.get("app_id"))
    known = answers.app_id or (configured if configured != EXAMPLE_APP else None)
    number = known or _number(ask("App ID", option="--app-id"))
    if number is None:
        raise ConfigError("the app id is a number: the app's page on open.nhanh.vn shows it")
    return number


async def _exchange_and_try(
    app_id: int, business_id: int | None, secret_key: str, code: str, base_url: str
) -> NhanhTrial:
    """The token for the code, when it was seen to open something of the right business.

    Raises:
        ConfigError: it is another business's, or opens nothing.
        SourceError: there is none.
    """
    async with open_session() as session:
        new = await exchange_code(
            session, app_id=app_id, secret_key=secret_key, code=code, base_url=base_url, wall_time=time.time()
        )
        register_secret(new.token)
        exchanged_at, theirs = datetime.now(UTC), new.access.business_id
        if business_id is not None and theirs != business_id:
            raise ConfigError(
                f"This token is for business {theirs}, but the configuration says {business_id}. Nothing was stored."
                f" Log in to business {business_id}, or correct business_id. If the app had a token for business"
                f" {theirs}, it ends in {_minutes(OLD_TOKEN_LIFETIME)} minutes."
            )
        client = NhanhClient(
            session,
            app_id=app_id,
            business_id=theirs,
            credential=NhanhCredential(new.token, secret_key),
            base_url=base_url,
            limits=LimiterRegistry(),
            backoff=BACKOFF,
        )
        depots, jobs = await _try(client)
    # Trouble that may resolve itself is no reason to throw away the only token.
    if all(isinstance(problem, SourceRefused) for problem in jobs.values()):
        raise ConfigError(
            f"The new token can't access anything, so it was not stored: {next(iter(jobs.values()))}\n"
            f"{_farewell(exchanged_at)}"
        )
    said = {job: None if problem is None else str(problem) for job, problem in jobs.items()}
    return NhanhTrial(new, exchanged_at, depots, said)


def _known_business(present: Mapping[str, Any]) -> int | None:
    """The configured business; the example's number does not count."""
    is_example = present.get("app_id") == EXAMPLE_APP
    return None if is_example else _number(present.get("business_id"))


def _number(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value if value > 0 else None
        case str():
            return int(value) if value.isascii() and value.isdigit() and int(value) > 0 else None
        case _:
            return None


def _places(
    answers: NhanhAnswers, present: Mapping[str, Any], store: StoreName, config: Path
) -> tuple[SecretPlace, SecretPlace]:
    """Where the token is kept, and where the secret key is."""
    token = choose_place(answers.keep_in, present.get("access_token"), name=f"{store}-nhanh-token", config=config)
    # The key is kept in the same way, unless the configuration already has it somewhere.
    kind = "credential:" if token.reference.credential is not None else "file"
    key_name = f"{store}-nhanh-secret-key"
    like_token = None if "secret_key" in present else f"{kind}{key_name}" if kind == "credential:" else kind
    return token, choose_place(like_token, present.get("secret_key"), name=key_name, config=config)


def _known_secret(place: SecretPlace, given: Path | None) -> str | None:
    """The secret that is there already, unless another is given."""
    if given is not None:
        return None
    if place.path is None:
        return os.environ.get(place.reference.env or "") or None
    encrypted = encrypted_path(place.path)
    try:
        is_credential = place.reference.credential is not None and is_encrypted(encrypted)
        content = decrypt(place.path.name, encrypted) if is_credential else place.path.read_bytes()
        return content.decode().strip() or None
    except (OSError, ValueError):  # a UnicodeDecodeError, too
        return None


def _code(answers: NhanhAnswers, app_id: int, base_url: str) -> str:
    if answers.code is not None:
        given = sys.stdin.readline() if answers.code == "-" else answers.code
        try:
            return read_code(given)
        except ValueError as error:
            raise ConfigError(f"--code: {error}") from None
    address = _listen_address(answers.listen)
    link = _return_link(answers, address, base_url)
    login = login_address(app_id, link, base_url)
    output.tell(LOGIN)
    output.say(f"{login}\n")
    _show_qr(login)
    if address is not None:
        return run_in_loop(_received(address))
    output.tell(PASTE.format(minutes=_minutes(CODE_LIFETIME)))
    while True:
        try:
            return read_code(ask("Address", option="--code"))
        except ValueError as error:
            if not is_interactive():
                raise ConfigError(str(error)) from None
            output.tell(f"{error}. Try again, or press Ctrl-C to stop.")


async def _received(address: TcpAddress) -> str:
    async with listening(address) as code:
        output.tell(
            f"Waiting for the browser on {address.host}:{address.port}, for {_minutes(CODE_LIFETIME)} minutes …"
        )
        try:
            async with asyncio.timeout(CODE_LIFETIME.total_seconds()):
                return await code
        except TimeoutError:
            raise DongboError(
                "No code arrived. Does the return link lead to this address? Paste the code instead, without --listen."
            ) from None


def _listen_address(text: str | None) -> TcpAddress | None:
    if text is None:
        return None
    try:
        address = parse_listen(text)
    except ValueError as error:
        raise ConfigError(f"--listen: {error}") from None
    if not isinstance(address, TcpAddress):
        raise ConfigError("--listen: a browser can't open a Unix socket: name a host and a port")
    return address


def _return_link(answers: NhanhAnswers, address: TcpAddress | None, base_url: str) -> str:
    is_sandbox = is_loopback(urlsplit(base_url).hostname or "")
    default = f"http://{address.host}:{address.port}/" if address is not None and is_sandbox else None
    link = answers.return_link or default or ask("One of the app's Redirect URLs", option="--return-link")
    parts = urlsplit(link)
    if not parts.hostname or not (parts.scheme == "https" or (is_sandbox and parts.scheme == "http")):
        raise ConfigError(
            f'"{link}" is not a return link: it must begin with https:// and be one of the Redirect URLs of the app on'
            " open.nhanh.vn"
        )
    return link


def _show_qr(address: str) -> None:
    """The address for a phone, on which somebody may be logged in already."""
    if not sys.stderr.isatty():
        return
    segno.make(address, error="l", micro=False).terminal(out=drawable(sys.stderr), compact=True)


async def _try(client: NhanhClient) -> tuple[list[NhanhDepot], dict[JobType, SourceError | None]]:
    """The depots, and for each pull why it can't run (None: it can)."""
    jobs = await try_pulls(client)
    try:
        return await client.depots(), jobs
    except SourceError as error:
        output.tell(f"The depots can't be listed: {error}")
        return [], jobs


def _show(trial: NhanhTrial) -> None:
    access = trial.new.access
    days = (access.expires_at - datetime.now(UTC)).days
    output.tell(f"\nIt works: business {access.business_id}, until {access.expires_at:%Y-%m-%d} ({days} days)")
    if access.permissions:
        output.tell(f"  permissions           {output.plain(', '.join(access.permissions))}")
    for depot in trial.depots:
        output.tell(f"  depot                 {depot.id} {output.plain(depot.name or '')}")
    if access.depot_ids:
        output.tell(
            f"  only depots           {', '.join(map(str, access.depot_ids))}: stock in all other depots is silently"
            " left out; for all of it, agree again with all depots chosen"
        )
    for job, problem in trial.jobs.items():
        output.tell(f"  {job:<22}{'can run' if problem is None else output.plain(problem)}")
    output.tell("")


def _describe(trial: NhanhTrial) -> dict[str, Any]:
    access = trial.new.access
    return {
        "business_id": access.business_id,
        "expires_at": access.expires_at,
        "permissions": access.permissions,
        "limited_to_depots": access.depot_ids,
        "depots": [{"id": depot.id, "name": depot.name} for depot in trial.depots],
        "jobs": {str(job): {"can_run": problem is None, "problem": problem} for job, problem in trial.jobs.items()},
    }


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
