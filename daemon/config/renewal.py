"""Whether a secret that has changed takes effect while the daemon runs, which depends on where it is kept.

A file is read again as soon as it changes. The environment of a process does not change. A credential is a copy that
systemd makes when the service starts; from version 260 on it makes a new one at each `systemctl reload`, where the unit
says RefreshOnReload=credentials (systemd.service(5)). Which of both holds can be seen: the copies lie elsewhere.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.config.fields import SecretRef, Section
from daemon.config.settings import Settings
from daemon.ids import StoreName
from daemon.kept import kept_for_same


@dataclass(frozen=True, slots=True)
class KeptSecrets:
    """Names of credentials and of variables of the environment whose values are those of the start."""

    credentials: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.credentials or self.variables)


class SecretRenewal:
    """Knows which secrets a reload renews. Made at the start; `look` at each reload."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._directory = environ.get("CREDENTIALS_DIRECTORY")
        self._copies = self._identity()
        self._has_new_copies = False

    def look(self) -> None:
        """At a reload: see whether systemd has made new copies of the credentials for it."""
        copies = self._identity()
        self._has_new_copies = copies != self._copies
        self._copies = copies

    def kept(self, settings: Settings) -> KeptSecrets:
        """The secrets that the last reload has not renewed, and the next one would most likely not either."""
        places = [place for place in _places(settings) if self._is_kept(place)]
        return KeptSecrets(
            tuple(sorted({place.credential for place in places if place.credential is not None})),
            tuple(sorted({place.env for place in places if place.env is not None})),
        )

    def kept_sources(self, settings: Settings) -> Collection[tuple[StoreName, str]]:
        """The stores' sources, such as `nhanh`, for which a new secret takes effect with a restart only."""
        return {source for source, places in _places_of_sources(settings) if any(map(self._is_kept, places))}

    def _is_kept(self, place: SecretRef) -> bool:
        return place.env is not None or (place.credential is not None and not self._has_new_copies)

    def _identity(self) -> object:
        if self._directory is None:
            return None
        try:
            found = Path(self._directory).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


@kept_for_same
def _places_of_sources(settings: Settings) -> Sequence[tuple[tuple[StoreName, str], Sequence[SecretRef]]]:
    """By the store and its source."""
    return [
        ((name, kind), list(_places(source)))
        for name, store in settings.stores.items()
        for kind, source in (("nhanh", store.nhanh), ("shopify", store.shopify))
    ]


def _places(value: object) -> Iterator[SecretRef]:
    """All places of secrets that a part of the settings names."""
    match value:
        case SecretRef():
            yield value
        case Section():
            for _, each in value:
                yield from _places(each)
        case Mapping():
            for each in value.values():
                yield from _places(each)
        case tuple():
            for each in value:
                yield from _places(each)
        case _:
            pass
