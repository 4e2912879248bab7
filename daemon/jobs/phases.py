"""What a job does at the moment, in words: shown as long as it runs and no page tells of its progress."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from daemon.i18n import mark


class JobPhase(StrEnum):
    """A step of a job that may take seconds, as `phase` of its metadata names it."""

    READING_ROWS = "reading_rows"
    READING_NUMBERS = "reading_numbers"
    SETTLING_MAPPINGS = "settling_mappings"
    COMPARING_KEYS = "comparing_keys"
    COUNTING = "counting"
    WRITING_MAPPINGS = "writing_mappings"
    READING_PRICES = "reading_prices"
    PLANNING = "planning"
    WRITING_PLAN = "writing_plan"


WORDS: Mapping[str, str] = {
    JobPhase.READING_ROWS: mark("reading rows"),
    JobPhase.READING_NUMBERS: mark("reading phone numbers"),
    JobPhase.SETTLING_MAPPINGS: mark("looking at the mappings that there are"),
    JobPhase.COMPARING_KEYS: mark("comparing keys"),
    JobPhase.COUNTING: mark("counting what was found"),
    JobPhase.WRITING_MAPPINGS: mark("writing mappings"),
    JobPhase.READING_PRICES: mark("reading present prices"),
    JobPhase.PLANNING: mark("comparing both sides"),
    JobPhase.WRITING_PLAN: mark("writing the sale's prices down"),
}


class Tell(Protocol):
    """Hears what is done from now on."""

    def __call__(self, phase: JobPhase, done: int = 0, of: int | None = None) -> None:
        """`done`: how many rows of the phase are done, `of` how many; None: nobody knows."""


def tell_nobody(phase: JobPhase, done: int = 0, of: int | None = None) -> None:
    """For whoever runs without a job."""
