"""The clock for spans of time that may outlast a sleep of the machine, and how clocks compare."""

import time
from datetime import datetime


def boot_time() -> float:
    """Seconds since the machine started, those that it slept through included; no change of the wall clock moves it.

    `time.monotonic` stands still while a laptop or a virtual machine is suspended (clock_gettime(2)): what expires by
    somebody else's clock must use this one.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def seconds_ahead(theirs: datetime, before: datetime, after: datetime) -> float:
    """Seconds by which another clock is ahead, at least; 0 where the two may agree.

    Args:
        theirs: what it said in an answer.
        before, after: this machine's time when the question was sent and when the answer was there.
    """
    if theirs > after:
        return (theirs - after).total_seconds()
    return min((theirs - before).total_seconds(), 0.0)
