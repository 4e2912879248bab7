"""What people take for a shop's name or an app's id: understood where it can only mean one thing, else named for what
it is."""

import re
from urllib.parse import urlsplit

HANDLE = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{8,128}", re.ASCII)
SUFFIX = ".myshopify.com"
ADMIN_HOST = "admin.shopify.com"

# GitHub documentation, "Supported secret scanning patterns", names these prefixes of Shopify's.
ACCESS_TOKENS = ("shpat_", "shpca_", "shppa_", "shpua_")
CLIENT_SECRETS = ("shpss_",)


def read_shop(text: str) -> str:
    """The handle in front of `.myshopify.com`, out of itself, the shop's address, or an address of its admin.

    Raises:
        ValueError: it is none of these.
    """
    given = text.strip().lower()
    if (kind := kind_of_secret(given)) is not None:
        raise ValueError(f"this is {kind}, not a shop, and it does not belong in this file")
    try:
        parts = urlsplit(given if "://" in given else f"https://{given}")
    except ValueError:  # such as of a bracket that does not close
        parts = urlsplit("")
    host, path = parts.netloc.rpartition("@")[2].partition(":")[0], parts.path.strip("/").split("/")
    if host == ADMIN_HOST and len(path) > 1 and path[0] == "store":
        handle = path[1]
    elif host.endswith(SUFFIX):
        handle = host.removesuffix(SUFFIX)
    elif "." in host or "/" in given or ":" in given:
        raise ValueError(
            f'"{text}" is not a shop: write the part before .myshopify.com, such as "my-shop"; your own domain won\'t'
            " work (Shopify's admin shows the name under Settings > Domains)"
        )
    else:
        handle = host
    if not HANDLE.fullmatch(handle):
        raise ValueError(f'"{text}" is not a shop: write the part before .myshopify.com, such as "my-shop"')
    return handle


def check_client_id(text: str) -> str:
    """The id unchanged. Raises `ValueError`, which never quotes it: it may be a secret in the wrong place."""
    if (kind := kind_of_secret(text)) is not None:
        raise ValueError(
            f"this is {kind}, not a client id, and it does not belong in this file: write the client id here, and renew"
            " the secret if others can read the file"
        )
    if not CLIENT_ID.fullmatch(text):
        raise ValueError("is not a client id: copy it from Settings of your app in the Dev Dashboard")
    return text


def check_client_secret(text: str) -> str:
    """The secret unchanged. Raises `ValueError`, which never quotes it."""
    if text.startswith(ACCESS_TOKENS):
        raise ValueError(
            "this is an access token, not a client secret: use it as access_token (without client_id), or take the"
            " secret from Settings of your app in the Dev Dashboard"
        )
    return text


def check_access_token(text: str) -> str:
    """The token unchanged. Raises `ValueError`, which never quotes it."""
    if text.startswith(CLIENT_SECRETS):
        raise ValueError(
            "this is a client secret, not an access token: use it as client_secret, along with client_id, instead of"
            " access_token"
        )
    return text


def kind_of_secret(text: str) -> str | None:
    """What kind of secret a text is by its beginning; None where it is none that Shopify marks so."""
    if text.startswith(ACCESS_TOKENS):
        return "an access token"
    return "a client secret" if text.startswith(CLIENT_SECRETS) else None
