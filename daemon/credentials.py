"""The state of the stores' credentials: checked while the daemon runs, and reported in its status."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs.types import Source
from daemon.lifecycle import Part
from daemon.sources.credential import ENDS_SOON, Credential, CredentialReport
from daemon.sources.shopify.credential import ClientCredentials, ShopifyCredential
from daemon.sources.shopify.scopes import missing_scopes, write_scopes
from daemon.sources.shopify.version import ApiVersion, supported_until
from daemon.tasks import Store, TaskRegistry

log = structlog.get_logger()

CHECK_INTERVAL = timedelta(hours=12)
CHECK_AGAIN = timedelta(minutes=15)  # after a check that failed
DIED_YOUNG = 2  # tokens in a row: one may be a reinstallation of the app


def report(stores: Mapping[StoreName, Store], now: datetime) -> list[CredentialReport]:
    """How each store signs in to each of its sources, and what a person should know about that."""
    return [
        CredentialReport(
            store=name,
            source=source.value,
            kind=credential.kind,
            works=credential.problem is None if credential.is_tried else None,
            expires_at=credential.expires_at,
            refused_since=credential.problem.since if credential.problem is not None else None,
            missing_scopes=_missing_scopes(store, credential),
            api_version=version.served if (version := _api_version(store, source)) is not None else None,
            api_supported_until=supported_until() if version is not None else None,
            problems=(*_problems(store, credential, now), *(version.problems(now) if version is not None else ())),
        )
        for name, store in sorted(stores.items())
        for source, credential in store.credentials().items()
    ]


def _problems(store: Store, credential: Credential, now: datetime) -> Iterator[str]:
    if credential.problem is not None:
        yield credential.problem.reason
    if credential.expires_at is not None and credential.expires_at - now < ENDS_SOON:
        days = (credential.expires_at - now).days
        ends = (
            _("The access token of Nhanh.vn expires on {day}: get a new one with `{command}`.")
            if days >= 0
            else _("The access token of Nhanh.vn expired on {day}: get a new one with `{command}`.")
        )
        command = f"dongbo connect nhanh --store {store.name}"
        yield ends.format(day=credential.expires_at.date(), command=command)
    if missing := _missing_scopes(store, credential):
        yield (
            _(
                "Shopify has not granted {missing}: add {scopes} to the scopes of the app's version in the Dev "
                "Dashboard, release it, and approve it in the shop."
            ).format(missing=", ".join(missing), scopes=write_scopes(missing))
        )
    if isinstance(credential, ClientCredentials) and credential.died_young >= DIED_YOUNG:
        yield (
            _(
                "Shopify ended {n} access tokens in a row early: another program requests tokens with the "
                "same client id. Use a separate app for each program. Until then new tokens are spaced out."
            ).format(n=credential.died_young)
        )


def _api_version(store: Store, source: Source) -> ApiVersion | None:
    """What the answers of a source said about its API's version; None for one that does not say."""
    client = store.shopify_client if source is Source.SHOPIFY else None
    return client.api_version if client is not None else None


def _missing_scopes(store: Store, credential: Credential) -> tuple[str, ...] | None:
    if not isinstance(credential, ShopifyCredential) or credential.scopes is None:
        return None
    return tuple(missing_scopes(sorted(store.needed_scopes), credential.scopes))


class CredentialWatch(Part):
    """Asks Nhanh.vn, at once and then twice a day, when the access tokens expire, where the app's secret key is
    known: a token ends after a year without warning.

    Args:
        takes_jobs: whether jobs are run here. Where they are not, nothing else calls the sources, so that they are
            asked for a little each time: what may be done there, and how their clocks stand, is known from answers.
    """

    name = "credentials"

    def __init__(self, registry: TaskRegistry, *, takes_jobs: bool = True) -> None:
        self._registry = registry
        self._takes_jobs = takes_jobs
        self._look = asyncio.Event()

    def look(self) -> None:
        """Ask now: there may be other stores, or other tokens."""
        self._look.set()

    async def _run(self) -> None:
        while True:
            self._look.clear()
            pause = CHECK_INTERVAL if await self._check_all() else CHECK_AGAIN
            try:
                async with asyncio.timeout(pause.total_seconds()):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _check_all(self) -> bool:
        """Whether all tokens could be asked about. One that does not answer does not hold up the others."""
        async with asyncio.TaskGroup() as checks:
            checked = [
                checks.create_task(self._check(store), name=f"credential-check-{store.name}")
                for store in self._registry.stores.values()
            ]
        return all(check.result() for check in checked)

    async def _check(self, store: Store) -> bool:
        greeted = self._takes_jobs or all([await self._greet(store, source) for source in store.credentials()])
        return await self._check_token(store) and greeted

    @staticmethod
    async def _greet(store: Store, source: Source) -> bool:
        try:
            await store.greet(source)
        except SourceError as error:  # which the conditions tell of
            log.debug("source_greeted", store=store.name, source=source.value, answer=str(error))
            return False
        return True

    @staticmethod
    async def _check_token(store: Store) -> bool:
        client = store.nhanh_client
        if client is None or not client.can_check_access:
            return True
        try:
            access = await client.check_access_token()
        except SourceError as error:
            log.warning("credential_check_failed", store=store.name, reason=str(error), next_step="asked again later")
            return False
        days = (access.expires_at - datetime.now(UTC)).days
        if days < ENDS_SOON.days:
            log.warning(
                "token_ends_soon",
                store=store.name,
                days=days,
                expires_at=access.expires_at,
                next_step=f"dongbo connect nhanh --store {store.name}",
            )
        return True
