"""Wrong tokens: counted by address, answered ever more slowly, and logged without the token.

Only the answer to a wrong token waits: the right one is checked first and passes whatever has been tried before it
from the same address, which on one machine, or behind a proxy, is everybody's.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs

from daemon.i18n import gettext as _
from daemon.serving.addresses import Address
from daemon.serving.tally import Tally
from daemon.status.problems import Problem

FREE: Final = 5  # wrong tokens in a row that are answered at once: a person's slips, a probe with last year's token
TOO_MANY: Final = 20  # from here on the answer is 429
FIRST_DELAY: Final = 0.1  # seconds; doubles with each further wrong token
LONGEST_DELAY: Final = 2.0  # seconds: less than the endpoint waits for its requests when it closes
FORGOTTEN_AFTER: Final = 30.0  # seconds for each wrong token
MOST_ADDRESSES: Final = 1024  # remembered; the one that has been quiet longest is forgotten first
MOST_DELAYED: Final = 32  # answers of an address that wait at once; further ones are 429 without a wait
CHALLENGE: Final[dict[str, str]] = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="dongbo"'}


@dataclass(slots=True)
class _Record:
    """What an address has tried: `count` leaks away by one each FORGOTTEN_AFTER seconds."""

    count: float
    at: float
    delayed: int = 0


class Guesses:
    """Who has shown wrong tokens recently.

    Args:
        clock: seconds of a clock that never jumps.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[Address, _Record] = OrderedDict()
        self.tally = Tally("wrong_tokens")
        self.total = 0

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._records)

    async def answer(self, address: Address) -> Problem:
        """What to say to a wrong token, after the time that it takes to say it."""
        self.total += 1
        self.tally.note(address)
        record = self._note(address)
        if record.count <= FREE:
            return _wrong()
        if record.delayed >= MOST_DELAYED:
            return _too_many(record)
        record.delayed += 1
        try:
            await asyncio.sleep(_delay(record.count))
        finally:
            record.delayed -= 1
        return _too_many(record) if record.count >= TOO_MANY else _wrong()

    def _note(self, address: Address) -> _Record:
        now = self._clock()
        record = self._records.setdefault(address, _Record(0, now))
        record.count = max(0.0, record.count - (now - record.at) / FORGOTTEN_AFTER) + 1
        record.at = now
        self._records.move_to_end(address)
        if len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)
        return record


def _delay(count: float) -> float:
    doublings = min(count - FREE - 1, 10)
    return min(FIRST_DELAY * 2**doublings, LONGEST_DELAY)


def _wrong() -> Problem:
    return Problem(
        401,
        _("The token is wrong: it is none of those that [status] names"),
        headers=CHALLENGE,
    )


def _too_many(record: _Record) -> Problem:
    seconds = math.ceil(max(1.0, record.count - TOO_MANY + 1) * FORGOTTEN_AFTER)
    return Problem(
        429,
        _(
            "Too many wrong tokens came from this address: wait, and send one of those that [status] names. A right "
            "token is accepted at once"
        ),
        kind="too-many-wrong-tokens",
        headers={hdrs.RETRY_AFTER: str(min(seconds, 3600))},
    )
