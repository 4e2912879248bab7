"""What is known about the credential with which a store signs in to a source: whether it works, and until when."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from daemon.errors import CredentialRefused
from daemon.ids import StoreName

ENDS_SOON = timedelta(days=30)  # a person, who may be on holiday, has to log in at Nhanh.vn


class CredentialKind(StrEnum):
    """How a store signs in."""

    ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a kind; a person renews it
    CLIENT_CREDENTIALS = "client_credentials"  # a client id and its secret, for tokens that are asked for again


@dataclass(frozen=True, slots=True)
class CredentialProblem:
    """Why a credential does not work, as a sentence that says what to do, and since when."""

    reason: str
    since: datetime


class Credential(ABC):
    """What is known about one credential. A client and all its jobs share it; a renewed secret is put into it."""

    kind = CredentialKind.ACCESS_TOKEN

    def __init__(self) -> None:
        self.expires_at: datetime | None = None  # when a person must have renewed it; None: never, or not known
        self.problem: CredentialProblem | None = None
        self.is_tried = False  # whether the source has accepted or refused it yet

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    @property
    @abstractmethod
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""

    def works(self) -> None:
        """The source has accepted it."""
        self.problem = None
        self.is_tried = True

    def fails(self, error: CredentialRefused) -> None:
        """The source has refused it."""
        self.is_tried = True
        since = self.problem.since if self.problem is not None else datetime.now(UTC)
        self.problem = CredentialProblem(str(error), since)


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """How a store signs in to a source, as its status reports it.

    Args:
        store: the store's name.
        source: `nhanh` or `shopify`.
        kind: how it signs in.
        works: whether the source accepts it; None: it has not been tried yet.
        expires_at: when a person must have renewed the token; None: never, or not known.
        refused_since: since when the source has refused it.
        missing_scopes: what the jobs of the configuration need at Shopify and was not granted; None: not known yet.
        problems: what a person should do, a sentence each; empty where all is well.
        api_version: the version of its API that the source last answered with; None: it has no such versions.
        api_supported_until: until when the source supports the version asked for; None: not known.
    """

    store: StoreName
    source: str
    kind: CredentialKind
    works: bool | None
    expires_at: datetime | None
    refused_since: datetime | None
    missing_scopes: Sequence[str] | None
    problems: Sequence[str]
    api_version: str | None = None
    api_supported_until: datetime | None = None
