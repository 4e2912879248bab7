"""How a store signs in to Shopify: with a permanent token, or with a client id and secret for tokens that live a day.

All calls of a store share one credential. It holds the token in memory only, requests it when it is first needed, and
the next one well before it ends, so that no call carries one that has just expired.
"""

import asyncio
import random
from abc import abstractmethod
from collections.abc import Callable

import aiohttp
import structlog

from daemon.clock import boot_time
from daemon.errors import CredentialRefused, RateLimited, SourceError
from daemon.i18n import mark
from daemon.logging import forget_secret, register_secret
from daemon.sources.credential import Credential, CredentialKind
from daemon.sources.meter import CallMeter
from daemon.sources.shopify.grant import Grant, ask_for_token

log = structlog.get_logger()

RENEWED_AFTER = 0.75  # of a token's life
# Shopify does not say whether a new token ends earlier ones. If it did, two daemons would keep ending each other's. So
# whoever has lost one lets the other's calls pass first; from the second in a row on, the wait gets longer.
LET_PASS = 0.5  # seconds
FIRST_SPACING = 5.0  # seconds from such an end to the next grant; then doubled
LONGEST_SPACING = 120.0
YOUNG = 0.5  # of a token's life: one that has lived this long was not ended by another program's grants


class ShopifyCredential(Credential):
    """Supplies the access token for each call."""

    scopes: frozenset[str] | None = None  # as last granted; None: not known

    @abstractmethod
    async def token(self, meter: CallMeter) -> str:
        """The token for a call that is sent now.

        Raises:
            CredentialRefused, SourceUnavailable, RateLimited: there is none.
        """

    def accept(self) -> None:
        """Shopify has accepted a call's token."""
        self.works()

    @abstractmethod
    def reject(self, token: str) -> bool:
        """Shopify has refused this token (HTTP 401). Whether `token` may give another one, so that the call can be
        sent again: it was refused before anything was done."""


class PermanentToken(ShopifyCredential):
    """The token of an app that was made in the shop's admin before 2026."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token
        self._old_token = ""
        if token:
            register_secret(token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""
        return tuple(token for token in (self._token, self._old_token) if token)

    async def token(self, meter: CallMeter) -> str:  # noqa: ARG002 - it is there already
        """The token."""
        return self._token

    def reject(self, token: str) -> bool:
        """Whether the configuration has supplied another one meanwhile."""
        return token != self._token

    def replace(self, token: str) -> bool:
        """Take over what the configuration says now, for calls sent from now on; returns whether it is new."""
        if token == self._token:
            return False
        self._token, self._old_token = token, self._token
        self.problem, self.is_tried = None, False
        register_secret(token)
        return True


class ClientCredentials(ShopifyCredential):
    """The client id and secret of an app of the Dev Dashboard, and the token obtained with them.

    One caller at a time asks for a token. The others wait for its outcome where there is none; while the current token
    is good, they keep using it, and a renewal that fails is tried again, more often as the end comes nearer.
    """

    kind = CredentialKind.CLIENT_CREDENTIALS

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        source: str,
        client_id: str,
        client_secret: str,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        """`base_url` is the shop's address without a trailing slash, `source` names the shop in errors."""
        super().__init__()
        self.client_id = client_id
        self.died_young = 0  # how many tokens in a row have ended before their time
        self._session = session
        self._base_url = base_url
        self._source = source
        self._client_secret = client_secret
        self._old_secret = ""
        self._clock = clock
        self._asking = asyncio.Lock()
        self._attempts = 0
        self._failure: SourceError | None = None  # of the last attempt
        self._grant: Grant | None = None
        self._renew_at = 0.0
        self._not_before = float("-inf")
        self._known_tokens: list[str] = []
        register_secret(client_secret)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""
        return tuple(secret for secret in (self._client_secret, self._old_secret, *self._known_tokens) if secret)

    async def token(self, meter: CallMeter) -> str:
        """The current token, or a new one where that is getting old; the job's costs count the wait."""
        if (fresh := self._fresh()) is not None:
            return fresh
        if self._asking.locked() and (good := self._good()) is not None:
            return good
        seen = self._attempts
        with meter.waiting_for(mark("an access token")):
            async with self._asking:
                if (fresh := self._fresh()) is not None:
                    return fresh
                if self._attempts > seen and self._failure is not None:  # renewed meanwhile by another caller
                    return self._still_good_or(self._failure)
                return await self._renewed(meter)

    def accept(self) -> None:
        """Shopify has accepted a call's token, which says nothing about a secret that it has refused since."""
        if self._failure is None:
            self.works()

    def reject(self, token: str) -> bool:
        """Forget the token, so that the next call asks for another."""
        grant = self._grant
        if grant is not None and grant.token == token:
            self._grant = None
            self._note_end(grant)
        return True

    def replace(self, client_secret: str) -> bool:
        """Take over the secret that the configuration says now; returns whether it is new and brings a new token."""
        if client_secret == self._client_secret:
            return False
        self._client_secret, self._old_secret = client_secret, self._client_secret
        register_secret(client_secret)
        self.problem, self.is_tried, self._failure = None, False, None
        self._renew_at = float("-inf")  # the old secret's token is good until then, or until it is revoked
        return True

    def _fresh(self) -> str | None:
        return self._grant.token if self._grant is not None and self._clock() < self._renew_at else None

    def _good(self) -> str | None:
        """The current token, old or not, until it ends."""
        return self._grant.token if self._grant is not None and self._clock() < self._grant.expires_at else None

    def _still_good_or(self, failure: SourceError) -> str:
        """The old token while it is good; where it is not, raises why there is no new one."""
        if (good := self._good()) is not None:
            return good
        raise failure.with_traceback(None)

    async def _renewed(self, meter: CallMeter) -> str:
        if (good := self._good()) is None:
            await asyncio.sleep(max(0.0, self._not_before - self._clock()))
        elif self._clock() < self._not_before:
            return good
        try:
            grant = await self._ask(meter)
        except SourceError as error:
            self._attempts += 1
            self._note_failure(error)
            return self._still_good_or(error)
        self._attempts += 1
        self._take(grant)
        return grant.token

    async def _ask(self, meter: CallMeter) -> Grant:
        while True:
            client_secret = self._client_secret
            try:
                grant = await ask_for_token(
                    self._session,
                    base_url=self._base_url,
                    source=self._source,
                    client_id=self.client_id,
                    client_secret=client_secret,
                    meter=meter,
                    clock=self._clock,
                )
            except CredentialRefused:
                if client_secret == self._client_secret:
                    raise
            else:
                if client_secret == self._client_secret:
                    return grant
            # The secret was renewed meanwhile: a failure of the old one says nothing about the new one.

    def _take(self, grant: Grant) -> None:
        self._failure = None
        self._remember(grant.token)
        lost = (self.scopes or frozenset()) - grant.scopes
        if self._grant is not None and grant.granted_at - self._grant.granted_at >= self._grant.lifetime * YOUNG:
            self.died_young = 0
        self._grant, self.scopes = grant, grant.scopes
        self._renew_at = grant.granted_at + grant.lifetime * RENEWED_AFTER
        self.works()
        log.info("token_granted", source=self._source, scopes=sorted(grant.scopes), lifetime_seconds=grant.lifetime)
        if lost:
            log.warning(
                "scopes_lost",
                source=self._source,
                scopes=sorted(lost),
                next_step="add them to the app's version in the Dev Dashboard, release it, and approve it in the shop",
            )

    def _note_failure(self, error: SourceError) -> None:
        self._failure = error
        now = self._clock()
        if isinstance(error, RateLimited):
            self._not_before = now + error.retry_after
        if isinstance(error, CredentialRefused):
            self.fails(error)
        if self._grant is not None and now < self._grant.expires_at:
            left = self._grant.expires_at - now
            self._renew_at = now + max(left / 8, self._grant.lifetime / 100)
            log.warning(
                "token_renewal_failed",
                source=self._source,
                reason=str(error),
                token_good_for_seconds=round(left),
                next_step="tried again before the token ends",
            )

    def _note_end(self, grant: Grant) -> None:
        age = self._clock() - grant.granted_at
        if age >= grant.lifetime * YOUNG:
            self.died_young = 0
            return
        self.died_young += 1
        spacing = min(FIRST_SPACING * 2 ** (self.died_young - 2), LONGEST_SPACING) if self.died_young > 1 else LET_PASS
        # From now on, not from the grant: whoever ended it has its turn for that long.
        self._not_before = self._clock() + spacing * random.uniform(0.75, 1.25)  # noqa: S311
        log.warning(
            "token_ended_early",
            source=self._source,
            age_seconds=round(age, 1),
            in_a_row=self.died_young,
            next_token_in_seconds=round(spacing, 1),
            next_step="if this continues: another program requests tokens with this client id; use an app for each",
        )

    def _remember(self, token: str) -> None:
        """Mask this token and the one before it, which calls under way still carry; an older one opens nothing."""
        register_secret(token)
        self._known_tokens.append(token)
        for old in self._known_tokens[:-2]:
            forget_secret(old)
        del self._known_tokens[:-2]
