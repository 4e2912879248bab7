"""Who may ask the endpoint for what: whoever shows a token, and the users whom a trusted proxy names."""

import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pydantic import SecretStr

from daemon.config import ResolvedSecrets, Settings
from daemon.config.address import UNIX_PEER
from daemon.errors import ConfigError
from daemon.jobs.steering import Role

EVERYBODY = "*"  # of the users of a proxy


class Proof(StrEnum):
    """By what somebody is known."""

    NOTHING = "nothing"  # nobody is asked who they are
    TOKEN = "token"  # noqa: S105 - a word
    SESSION = "session"  # of the page
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whoever asks; `name` is None where none is known."""

    name: str | None
    role: Role
    proof: Proof


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token with the name of whoever has it, and what it opens."""

    name: str | None
    role: Role
    secret: str = field(repr=False)

    def mac(self, purpose: bytes, content: bytes) -> bytes:
        """A code that only who knows the token can make of this content for this purpose."""
        key = hmac.digest(_bytes(self.secret), purpose, hashlib.sha256)
        return hmac.digest(key, content, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the configuration says of it.

    Args:
        user_header: in which a proxy names its user; None: no proxy is believed.
        proxies: the peers that are.
        trusts_unix: whether all who come by the Unix socket are.
        operators: those of its users who may operate; EVERYBODY for all.
    """

    tokens: Sequence[AccessToken] = ()
    user_header: str | None = None
    proxies: Sequence[IPv4Network | IPv6Network] = ()
    trusts_unix: bool = False
    operators: Collection[str] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not self.tokens and self.user_header is None


def access_rules(settings: Settings, secrets: ResolvedSecrets) -> AccessRules:
    """The rules of a configuration."""
    status = settings.status
    unnamed = [AccessToken(None, Role.OPERATE, _text(token))] if (token := secrets.status_token) is not None else []
    named = [
        AccessToken(entry.name, entry.role, _text(secrets.status_tokens[entry.name]))
        for entry in status.tokens
        if entry.name in secrets.status_tokens
    ]
    return AccessRules(
        tokens=(*unnamed, *named),
        user_header=status.user_header,
        proxies=tuple(ip_network(proxy) for proxy in status.trusted_proxies if proxy != UNIX_PEER),
        trusts_unix=UNIX_PEER in status.trusted_proxies,
        operators=frozenset(status.operators),
    )


class Access:
    """The rules in force, which a reload and renewed secrets replace.

    `is_exposed`: whether the endpoint can be reached from other machines; known once it listens.
    """

    def __init__(self, rules: AccessRules) -> None:
        self.rules = rules
        self.is_exposed = False

    def use(self, rules: AccessRules) -> None:
        """Go by other rules from now on; sessions of a token that is gone or another one end with it.

        Raises ConfigError where that would let other machines in without asking who they are.
        """
        self.check(rules)
        self.rules = rules

    def check(self, rules: AccessRules) -> None:
        """Raise as `use` would."""
        if rules.is_open and self.is_exposed:
            raise ConfigError(
                "without a token, the address that the daemon listens on until it is restarted would be open to other "
                "machines: restart it, or keep a token"
            )

    def token_of(self, shown: str) -> AccessToken | None:
        """The token that was shown. All are compared, each in the same time: nothing tells which was nearly right."""
        found = None
        for token in self.rules.tokens:
            if hmac.compare_digest(_digest(token.secret), _digest(shown)):
                found = token
        return found

    def trusts(self, peer: str | None) -> bool:
        """Whether what this peer says of its user is believed.

        Args:
            peer: its IP address; None for one that came by the Unix socket.
        """
        if peer is None:
            return self.rules.trusts_unix
        address = ip_address(peer)
        return any(address in network for network in self.rules.proxies)

    def user(self, name: str) -> Identity:
        """The user whom a trusted proxy names."""
        may_operate = name in self.rules.operators or EVERYBODY in self.rules.operators
        return Identity(name, Role.OPERATE if may_operate else Role.READ, Proof.PROXY)


def _digest(text: str) -> bytes:
    """Of the same length for all, so that a comparison takes as long for a short one as for a long one."""
    return hashlib.sha256(_bytes(text)).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(secret: SecretStr) -> str:
    return secret.get_secret_value()
