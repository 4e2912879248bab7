"""Where the status endpoint listens, and which URLs and addresses a configuration may name."""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un holds 108 with the closing NUL (man 7 unix)
UNIX_PEER = "unix"  # whoever may open the Unix socket
FORMS = '"127.0.0.1:8765", "[::1]:8765" or "unix:/run/dongbo/status.sock"'
DEFAULT_PORTS = {"https": 443, "http": 80}
ALERT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", re.ASCII)
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; port 0 stands for any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix socket; who may open it is a matter of file permissions."""

    path: str

    @property
    def is_loopback(self) -> bool:
        """Always: a Unix socket does not leave the machine."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


ListenAddress = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a web page comes from (RFC 6454): pages of one origin are trusted alike, and no others."""

    scheme: str
    host: str
    port: int


def read_origin(text: str) -> Origin | None:
    """Read `scheme://host[:port]`, as browsers write it; None for anything else, such as "null"."""
    scheme, separator, netloc = text.partition("://")
    place = read_netloc(netloc)
    if not separator or scheme not in DEFAULT_PORTS or place is None:
        return None
    host, port = place
    return Origin(scheme, host, DEFAULT_PORTS[scheme] if port is None else port)


def read_netloc(netloc: str) -> tuple[str, int | None] | None:
    """The host in lower case without brackets, and the port if one is named; None for rubbish."""
    try:
        parts = urlsplit(f"//{netloc}")
        port = parts.port
    except ValueError:
        return None
    if parts.netloc != netloc or parts.username is not None or not parts.hostname:
        return None
    return plain_ip(parts.hostname), port


def plain_ip(host: str) -> str:
    """IPv6 addresses in their shortest form, IPv4 ones that come mapped into IPv6 as themselves, names as they are."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)


def origins_of(allowed_host: str) -> tuple[Origin, ...]:
    """What an entry of `[status] allowed_hosts` stands for: itself, or a host on the default ports of both schemes."""
    texts = [allowed_host] if "://" in allowed_host else [f"{scheme}://{allowed_host}" for scheme in DEFAULT_PORTS]
    return tuple(origin for text in texts if (origin := read_origin(text.lower())) is not None)


def parse_listen(text: str) -> ListenAddress:
    """Read `host:port`, `[IPv6]:port` or `unix:/path`.

    Raises `ValueError` with what is wrong and an example.
    """
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f'"{text}" is not an address: write {FORMS}')
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f'the port "{port}" is not a number from 0 to 65535: write {FORMS}')
    return TcpAddress(_host(host), int(port))


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address means this machine and cannot be reached from others."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_address_of_peer(text: str) -> bool:
    """Whether this is "unix", an IP address or a network such as 10.0.0.0/24: what a peer may be known by."""
    try:
        return text == UNIX_PEER or bool(ip_network(text))
    except ValueError:
        return False


def is_everybody(peer: str) -> bool:
    """Whether what `is_address_of_peer` has found right is a network of all addresses."""
    return peer != UNIX_PEER and ip_network(peer).prefixlen == 0


def check_base_url(text: str) -> str:
    """The URL of a source without a trailing slash.

    Raises `ValueError` for anything but `https://host[:port][/path]`; `http://` is for this machine only, since every
    request carries the access token.
    """
    parts = _split(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError('is not a web address: write "https://host"')
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must be an address only, without user name, password, ? or #")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https://, since the access token travels with every request")
    return text.rstrip("/")


def check_database_url(text: str) -> str:
    """The URL unchanged. Raises `ValueError`, never quoting the URL, which may hold a password."""
    parts = _split(text)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError('must begin with postgresql://, such as "postgresql://dongbo@db.example.com:5432/dongbo"')
    return text


def check_alert_url(text: str) -> str:
    """The URL unchanged: what it may say is known to Apprise alone. Raises `ValueError`, never quoting it."""
    if not ALERT_URL.fullmatch(text):
        raise ValueError("is not an Apprise URL, such as tgram://TOKEN/CHAT or mailtos://USER:PASSWORD@HOST?to=ADDRESS")
    return text


def check_heartbeat_url(text: str) -> str:
    """The URL unchanged. Raises `ValueError`, never quoting it: whoever knows it can keep the switch from going off."""
    parts = _split(text)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("is not a web address, such as https://hc-ping.com/UUID")
    return text


def _unix(path: str) -> UnixAddress:
    if not path.startswith("/"):
        raise ValueError(f"the path of a Unix socket must be absolute: write {FORMS}")
    if len(path.encode()) > LONGEST_SOCKET_PATH or "\0" in path:
        raise ValueError(f"the path of a Unix socket may have at most {LONGEST_SOCKET_PATH} bytes")
    return UnixAddress(path)


def _host(text: str) -> str:
    in_brackets = text.startswith("[") and text.endswith("]")
    host = text[1:-1] if in_brackets else text
    try:
        is_ipv6 = ip_address(host).version == 6
    except ValueError:
        is_ipv6 = False
        if in_brackets or not HOST_NAME.fullmatch(host) or set(host) <= set("0123456789."):
            raise ValueError(f'"{text}" is not a host name or IP address: write {FORMS}') from None
    if is_ipv6 != in_brackets:
        raise ValueError(f"an IPv6 address, and only that, stands in brackets: write {FORMS}")
    return host


def _split(url: str) -> SplitResult:
    """`urlsplit` whose errors never quote the URL: what it takes for a port may be part of a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "is not a valid URL: host or port can't be read"
            " (in a user name or password write / as %2F, : as %3A, @ as %40, # as %23, ? as %3F)"
        ) from None
    return parts
