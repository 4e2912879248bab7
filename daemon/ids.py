"""Distinct types for the identifiers that travel through the whole program, so that one is never taken for another."""

import os
import time
from datetime import datetime
from typing import NewType
from uuid import UUID

JobId = NewType("JobId", UUID)
RunToken = NewType("RunToken", UUID)
StoreName = NewType("StoreName", str)
ScheduleName = NewType("ScheduleName", str)
WorkerName = NewType("WorkerName", str)
SaleName = NewType("SaleName", str)
CampaignId = NewType("CampaignId", UUID)
Lane = NewType("Lane", str)
"""Jobs of one lane share a concurrency limit over all workers: the entry point of the queue that they come in by."""


def new_job_id(at: datetime | None = None) -> JobId:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits, so that ids sort by age.

    `at`: the time in it; None: this machine's.
    """
    milliseconds = int(at.timestamp() * 1000) if at is not None else time.time_ns() // 1_000_000
    number = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76  # version
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant
    return JobId(UUID(int=number))
