"""Which proxy a call goes through: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say, as curl reads them.

Not aiohttp's `trust_env`, which also looks for passwords in ~/.netrc, and does not say which proxy it chose.
"""

import os
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from daemon.errors import SourceRefused
from daemon.i18n import gettext as _

# All that `getproxies_environment` is asked for here. A call looks at these alone, for it looks before every request.
_SCHEMES = ("http", "https", "all", "no")
_VARIABLES = tuple(spelling for scheme in _SCHEMES for spelling in (f"{scheme}_proxy", f"{scheme}_proxy".upper()))


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable of the environment that names it."""

    variable: str
    url: URL  # without user and password
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What it requires besides the call."""
        if self.user is None:
            return {}
        pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}

    def __str__(self) -> str:
        return f"{str(self.url).rstrip('/')} ({self.variable})"


def proxy_for(address: str) -> Proxy | None:
    """The proxy for calls to an address; None: they go there directly.

    Raises:
        SourceRefused: the environment names one that can't be used.
    """
    return _proxy_for(address, tuple(map(os.environ.get, _VARIABLES)))


@lru_cache(maxsize=256)
def _proxy_for(address: str, _environment: tuple[str | None, ...]) -> Proxy | None:
    target, named = URL(address), getproxies_environment()
    scheme = target.scheme if target.scheme in named else "all"
    found = named.get(scheme)
    if not found or target.host is None:
        return None
    if proxy_bypass(f"{target.host}:{target.port}", named):
        return None
    variable = f"{scheme.upper()}_PROXY"
    try:
        url = URL(found if "://" in found else f"http://{found}")
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(found)
        bare = URL.build(scheme=url.scheme, host=url.host, port=url.port)
    except ValueError:  # which may hold a password
        raise SourceRefused(
            _(
                "The proxy in {variable} can't be used: write it as http://proxy.example.com:3128, with user and "
                "password in front of the host name where it requires them; other kinds, such as socks5, don't work."
            ).format(variable=variable)
        ) from None
    return Proxy(variable, bare, url.user, url.password or "")
