"""How a store signs in to Nhanh.vn: with a token that lives a year, and the secret key of its app."""

from daemon.logging import register_secret
from daemon.sources.credential import Credential


class NhanhCredential(Credential):
    """An access token, and the app's secret key where it is known: Nhanh.vn describes the token only with it."""

    def __init__(self, token: str, secret_key: str | None = None) -> None:
        super().__init__()
        self.token = token
        self.secret_key = secret_key
        self._old_token: str | None = None  # good for another fifteen minutes
        self._register()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""
        return tuple(secret for secret in (self.token, self.secret_key, self._old_token) if secret)

    def replace(self, token: str, secret_key: str | None) -> bool:
        """Take over what the configuration says now, for calls that begin from now on; returns whether it is new."""
        if (token, secret_key) == (self.token, self.secret_key):
            return False
        if token != self.token:
            self._old_token = self.token
        self.token, self.secret_key = token, secret_key
        self.expires_at = self.problem = None
        self.is_tried = False
        self._register()
        return True

    def _register(self) -> None:
        for secret in self.secrets:
            register_secret(secret)
