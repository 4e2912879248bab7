"""Idempotency keys: one effect for each key, and the first answer again for each repetition.

Shopify documents the retention and the codes (https://shopify.dev/docs/api/usage/implementing-idempotency). It does not
say how a call that ended in user errors is remembered: here it is answered with the same errors again.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

RETENTION = timedelta(hours=24)  # Shopify: "The retention window is 24 hours from the original request"

Payload = dict[str, Any]


class IdempotencyProblem(StrEnum):
    """Why a key is refused, by Shopify's code."""

    CONCURRENT_REQUEST = "IDEMPOTENCY_CONCURRENT_REQUEST"
    KEY_PARAMETER_MISMATCH = "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    PREVIOUS_ATTEMPT_FAILED = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"

    @property
    def message(self) -> str:
        """What Shopify says."""
        return _MESSAGES[self]


_MESSAGES = {
    IdempotencyProblem.CONCURRENT_REQUEST: "This request is currently in progress, please try again.",
    IdempotencyProblem.KEY_PARAMETER_MISMATCH: (
        "The same idempotency key cannot be used with different operation parameters."
    ),
    IdempotencyProblem.PREVIOUS_ATTEMPT_FAILED: (
        "A previous request with this idempotency key failed. Retry with a new idempotency key."
    ),
}


class IdempotencyRefusedError(Exception):
    """The call is not executed."""

    def __init__(self, problem: IdempotencyProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Remembered:
    fingerprint: bytes
    at: datetime
    payload: Payload | None  # None: the attempt failed


class Idempotency:
    """The keys of the last 24 hours with their answers.

    Args:
        now: the shop's time.

    Attributes:
        replays: whether a repetition gets the first answer. False makes the sandbox behave as the real API was seen to
            behave at least once: the key is checked against the parameters, then the call is executed again, so that a
            compare-and-set which succeeded comes back as stale.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.replays = True
        self._now = now
        self._remembered: dict[str, _Remembered] = {}  # oldest first
        self._script: deque[IdempotencyProblem] = deque()

    def refuse_next(self, problem: IdempotencyProblem | str, *, times: int = 1) -> None:
        """Refuse the next `times` calls that carry a key; a PREVIOUS_ATTEMPT_FAILED spoils the key for good."""
        self._script.extend([IdempotencyProblem(problem)] * times)

    def answer(self, key: str, operation: str, arguments: Mapping[str, Any], execute: Callable[[], Payload]) -> Payload:
        """What `execute` answers, or answered when this key came first.

        Raises:
            IdempotencyRefusedError: the key stands for another call, or is not to be used now.
        """
        self._forget_old()
        fingerprint = orjson.dumps([operation, arguments], option=orjson.OPT_SORT_KEYS)
        if self._script:
            problem = self._script.popleft()
            if problem is IdempotencyProblem.PREVIOUS_ATTEMPT_FAILED:
                self._remember(key, fingerprint, None)
            raise IdempotencyRefusedError(problem)
        remembered = self._remembered.get(key)
        if remembered is not None:
            if remembered.fingerprint != fingerprint:
                raise IdempotencyRefusedError(IdempotencyProblem.KEY_PARAMETER_MISMATCH)
            if remembered.payload is None:
                raise IdempotencyRefusedError(IdempotencyProblem.PREVIOUS_ATTEMPT_FAILED)
            if self.replays:
                return remembered.payload
        payload = execute()
        self._remember(key, fingerprint, payload)
        return payload

    def _remember(self, key: str, fingerprint: bytes, payload: Payload | None) -> None:
        self._remembered.pop(key, None)
        self._remembered[key] = _Remembered(fingerprint, self._now(), payload)

    def _forget_old(self) -> None:
        oldest_kept = self._now() - RETENTION
        while self._remembered and next(iter(self._remembered.values())).at <= oldest_kept:
            del self._remembered[next(iter(self._remembered))]
