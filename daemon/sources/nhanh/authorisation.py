"""How a person authorises an app: the address at which they agree, the code that comes back, and the token for it.

Source: Nhanh documentation, "Lấy access token". The code lives ten minutes and works once; a new token ends the
previous one of the same app and business after fifteen.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import unquote, urlencode

import aiohttp
import msgspec

from daemon.errors import CredentialRefused, SourceRefused, SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.http import post
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh import errors
from daemon.sources.nhanh.access import NhanhAccess, read_access
from daemon.sources.nhanh.client import BASE_URL
from daemon.sources.nhanh.envelope import read_envelope

LOGIN_URL = "https://nhanh.vn/oauth"
CODE_LIFETIME = timedelta(minutes=10)
OLD_TOKEN_LIFETIME = timedelta(minutes=15)
ACTION = "app/getaccesstoken"
LONGEST_CODE = 2048

_CODE_IN_ADDRESS = re.compile(r"(?:^|[?&#])accesscode=([^&#\s]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been issued, and what it may do."""

    token: str = field(repr=False)
    access: NhanhAccess


def login_address(app_id: int, return_link: str, base_url: str = BASE_URL) -> str:
    """The page on which a person logs in and agrees; the code comes to `return_link`.

    A sandbox has the page at the address of its API.
    """
    page = LOGIN_URL if base_url.rstrip("/") == BASE_URL else f"{base_url.rstrip('/')}/oauth"
    return f"{page}?{urlencode({'appId': app_id, 'returnLink': return_link})}"


def read_code(pasted: str) -> str:
    """The access code in what a person has pasted: the address that the browser ended up on, or the code itself.

    Raises:
        ValueError: there is none, in a sentence.
    """
    text = pasted.strip().strip("\"'<>")
    if not text:
        raise ValueError("nothing was pasted: paste the whole address that the browser shows after you have agreed")
    found = _CODE_IN_ADDRESS.search(text)
    if found is None:
        return _bare_code(text)
    # Not parse_qs, which takes a plus sign for a space.
    if code := unquote(found[1]).strip():
        return code[:LONGEST_CODE]
    raise ValueError("the access code in this address is empty: open the login address again, and agree")


def _bare_code(text: str) -> str:
    if "://" in text or "?" in text:
        raise ValueError(
            "there is no accessCode in this address: copy the one that the browser shows after you have logged in"
            " and agreed"
        )
    if not text.isprintable() or any(character.isspace() for character in text) or len(text) > LONGEST_CODE:
        raise ValueError("this is neither an address nor an access code: paste the whole address from the browser")
    return text


async def exchange_code(
    session: aiohttp.ClientSession,
    *,
    app_id: int,
    secret_key: str,
    code: str,
    base_url: str = BASE_URL,
    wall_time: float,
) -> NewToken:
    """Exchange a code for a token. Never repeated: a code whose answer was lost is used up.

    Raises:
        CredentialRefused: Nhanh.vn does not accept the code or the secret key.
        SourceRefused, SourceUnavailable, RateLimited: as of any call.
    """
    source = f"Nhanh.vn (app {app_id})"
    answer = await post(
        session,
        f"{base_url.rstrip('/')}/v3.0/{ACTION}?appId={app_id}",
        body=msgspec.json.encode({"accessCode": code, "secretKey": secret_key}),
        headers={},
        source=source,
        meter=CallMeter(),
    )
    envelope, _sound = read_envelope(answer.body)
    if not envelope.succeeded or answer.status >= 400:
        error = errors.failure(source, answer, envelope, (code, secret_key), wall_time)
        if isinstance(error, SourceRefused) and envelope.error_code not in errors.CREDENTIAL_CODES:
            said = errors.plain_messages(envelope, (code, secret_key))
            raise CredentialRefused(
                _(
                    "{source} does not accept the access code or the secret key{said}. A code works once, within ten "
                    "minutes; the app's page on open.nhanh.vn shows the secret key. Start again."
                ).format(source=source, said=f" ({said})" if said else "")
            ) from error
        raise error
    data = bytes(envelope.data)
    try:
        token = msgspec.json.decode(data, type=_Token).access_token
    except msgspec.DecodeError as error:
        raise SourceUnavailable(
            _("{source} sent an answer to {action} that can't be read.").format(source=source, action=ACTION)
        ) from error
    if not token or not token.isascii() or not token.isprintable() or len(token.split()) != 1:
        raise SourceUnavailable(_("{source} sent an invalid access token.").format(source=source))
    return NewToken(token, read_access(source, ACTION, data))


class _Token(msgspec.Struct, rename="camel"):
    access_token: str
