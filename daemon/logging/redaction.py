"""The last line of defence against secrets in the log: masks known values and values with telling names."""

import json
import re
from collections import Counter
from urllib.parse import quote

MASK = "***"
SHORTEST_SECRET = 6  # characters: masking shorter ones would make holes in ordinary text

SECRET_NAME = re.compile(
    r"(.*[_-])?(token|authorization|password|passwd|secret|secret[_-]key|api[_-]key|cookie)", re.IGNORECASE | re.DOTALL
)


class Redactor:
    """Masks the secrets registered with it."""

    def __init__(self) -> None:
        self._known: Counter[str] = Counter()  # how often each was registered and not yet forgotten
        self._pattern: re.Pattern[str] | None = None

    def register(self, secret: str) -> None:
        """Mask `secret` from now on, also as it stands in a URL, in a `repr` and in JSON."""
        if len(secret) < SHORTEST_SECRET:
            return
        self._known[secret] += 1
        if self._known[secret] == 1:
            self._compile()

    def forget(self, secret: str) -> None:
        """Take back one registration of `secret`; once none is left it is no longer masked."""
        if secret not in self._known:
            return
        self._known[secret] -= 1
        if not self._known[secret]:
            del self._known[secret]
            self._compile()

    def redact(self, text: str) -> str:
        """The text with every known secret masked."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def _compile(self) -> None:
        forms = {form for secret in self._known for form in _forms_of(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


_process_wide = Redactor()


def register_secret(secret: str) -> None:
    """Mask this value wherever it turns up in the log from now on. Values under 6 characters are not masked."""
    _process_wide.register(secret)


def forget_secret(secret: str) -> None:
    """Take one registration back, such as of a token that has ended: tokens are renewed for years."""
    _process_wide.forget(secret)


def redact(text: str) -> str:
    """The text with every registered secret masked."""
    return _process_wide.redact(text)


def _forms_of(secret: str) -> set[str]:
    """The forms in which it may appear in a text."""
    return {secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}


def names_a_secret(key: str) -> bool:
    """Whether the key's name says that its value is a secret: `access_token`, `X-Shopify-Access-Token` …"""
    return SECRET_NAME.fullmatch(key) is not None
