"""Whether a delivery comes from where it says: Nhanh.vn's verify token, Shopify's signature, both in constant time.

Sources: apidocs.nhanh.vn, "Webhooks", "Enable webhooks" (the token is the header Authorization) and "Khởi tạo app"
(it is in the body); shopify.dev, "Verify the origin of webhooks", "Rotate or revoke client credentials".
"""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from daemon.ids import StoreName
from daemon.inbox.streams import StreamId
from daemon.jobs.types import Source

OLD_KEY_COUNTS = 3600.0  # seconds: Shopify signs by a secret that was replaced for up to an hour more
TOKEN_IN_BODY = re.compile(rb'"webhooksVerifyToken"\s*:\s*"([!#-\[\]-~]{16,128})"')


@dataclass(frozen=True, slots=True)
class _Keys:
    """The secrets of a stream: the one in force, and the one that it has replaced, valid until then."""

    current: bytes
    previous: bytes | None = None
    previous_until: float = 0.0


class Verifier:
    """Knows the secrets by which deliveries are told from forgeries. `clock`: seconds of one that never jumps."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: dict[StreamId, _Keys] = {}
        # What a stranger's store is compared with: to refuse it takes as long as to refuse a forgery.
        self._decoy = secrets.token_hex(32).encode()

    def use(self, current: Mapping[StreamId, bytes]) -> None:
        """Take over these secrets. One that has been replaced is accepted for an hour more."""
        self._keys = {stream: self._with_previous(stream, key) for stream, key in current.items()}

    @property
    def streams(self) -> Sequence[StreamId]:
        """The streams whose deliveries can be told from forgeries."""
        return sorted(self._keys, key=lambda stream: (stream.store, stream.source))

    def is_of_nhanh(self, store: StoreName, token: str | None, body: bytes | None = None) -> bool:
        """Whether a delivery comes from the app of a store; where it shows no token, its body may."""
        if token is None:
            shown = TOKEN_IN_BODY.search(body or b"")
            given = shown[1] if shown is not None else b""
        else:
            given = token.encode(errors="replace")
        return self._is_valid(StreamId(store, Source.NHANH), lambda key: hmac.compare_digest(given, key))

    def is_of_shopify(self, store: StoreName, signature: str, body: bytes) -> bool:
        """Whether the shop of a store has signed exactly this body."""
        given = signature.encode(errors="replace")
        return self._is_valid(StreamId(store, Source.SHOPIFY), lambda key: hmac.compare_digest(given, sign(body, key)))

    def _is_valid(self, stream: StreamId, fits: Callable[[bytes], bool]) -> bool:
        """Whether a secret of the stream fits. Two are always tried, so that nothing can be learnt from the time."""
        keys = self._keys.get(stream)
        current = keys.current if keys is not None else None
        previous = keys.previous if keys is not None and self._clock() < keys.previous_until else None
        results = [fits(key if key is not None else self._decoy) for key in (current, previous)]
        return any(fit and key is not None for fit, key in zip(results, (current, previous), strict=True))

    def _with_previous(self, stream: StreamId, key: bytes) -> _Keys:
        known = self._keys.get(stream)
        if known is None:
            return _Keys(key)
        if known.current == key:
            return known
        return _Keys(key, known.current, self._clock() + OLD_KEY_COUNTS)


def sign(body: bytes, key: bytes) -> bytes:
    """The signature that Shopify gives a body: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.digest(key, body, "sha256"))
