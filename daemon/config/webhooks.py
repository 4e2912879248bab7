"""Where webhooks of both sides are listened for."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from daemon.config.address import ListenAddress, is_loopback, parse_listen
from daemon.config.fields import Section


class WebhookSettings(Section):
    """The listener for webhooks, which is apart from the status endpoint: a proxy can open it, and nothing else."""

    listen: str = Field(
        default="127.0.0.1:8766", description='As of [status]: "host:port", "[IPv6]:port" or "unix:/path".'
    )
    url: str | None = Field(
        default=None, description="Under which address others reach it: https, without a path, such as that of a proxy."
    )
    max_body_kilobytes: int = Field(default=1024, ge=16, le=16_384, description="Larger deliveries are refused.")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        parse_listen(listen)
        return listen

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
            is_address = is_safe and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f'"{url}" is not an https address without a path: write "https://hooks.example.com"')
        return url.rstrip("/")

    @property
    def address(self) -> ListenAddress:
        """`listen`, read."""
        return parse_listen(self.listen)
