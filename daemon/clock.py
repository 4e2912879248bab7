"""The clock for spans of time that may outlast a sleep of the machine."""

import time


def boot_time() -> float:
    """Seconds since the machine started, those that it slept through included; no change of the wall clock moves it.

    `time.monotonic` stands still while a laptop or a virtual machine is suspended (clock_gettime(2)): what expires by
    somebody else's clock must use this one.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
