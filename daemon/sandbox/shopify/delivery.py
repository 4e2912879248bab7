"""How the calls that write reach the shop and how their answers come back: in time, late, or not at all."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from daemon.sandbox.faults import OneIn, abort

Answer = dict[str, Any]
Call = Callable[[], Answer]

LONGEST_WAIT = 300.0  # seconds after which a late call is carried out though its caller still waits
GLANCE = 0.02  # seconds: aiohttp does not tell a handler that its caller has gone
FAILED = {"errors": [{"message": "Internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}


class HeldCall:
    """A call that has been answered by an error, and will be carried out when somebody says so."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.call: Call | None = None  # None: it has not come yet

    def arrive(self) -> Answer:
        """Carry it out now.

        Raises:
            LookupError: it has not come yet.
        """
        if self.call is None:
            raise LookupError(self.operation)
        return self.call()


@dataclass
class Deliveries:
    """What happens to calls on their way; nothing to begin with.

    Args:
        late: which of the calls that write are carried out only when their caller has given up waiting.
        lost: which of them are carried out, but their connection ends before the answer.
    """

    late: OneIn | None = None
    lost: OneIn | None = None
    _held: list[HeldCall] = field(default_factory=list, repr=False)

    def hold_next(self, operation: str) -> HeldCall:
        """Hold the next call of this operation."""
        held = HeldCall(operation)
        self._held.append(held)
        return held

    async def carry_out(self, call: Call, request: web.Request, operation: str | None, *, writes: bool) -> Answer:
        """The answer to a call, when and if it gets one.

        Args:
            call: carries it out, and returns the answer.
            request: where it came from.
            operation: its name.
            writes: whether it is a mutation.
        """
        for held in self._held:
            if held.operation == operation:
                self._held.remove(held)
                held.call = call
                return FAILED
        if writes and self.late is not None and self.late.strikes():
            await _hung_up(request)
            return call()
        if writes and self.lost is not None and self.lost.strikes():
            answer = call()
            abort(request)
            return answer
        return call()


async def _hung_up(request: web.Request) -> None:
    """Wait until the caller has gone, or for as long as no caller waits."""
    end = time.monotonic() + LONGEST_WAIT
    while request.transport is not None and time.monotonic() < end:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(GLANCE)
