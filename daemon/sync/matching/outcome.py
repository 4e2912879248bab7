"""What deciding about products and about customers have in common: how it is planned, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.jobs.model import Counters

SAMPLE = 20  # rows of each kind that a dry run shows

# Until a table that a step fills has been analysed, the planner takes it for empty, and an INSERT that looks by a
# nested loop into the very table that it fills reads ever more of it. Every join here is of whole tables: hash them,
# in memory.
WHOLE_TABLES = "SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True, slots=True)
class MatchOutcome:
    """What a run of matching decided.

    Args:
        counters: one row for each variant or customer of Shopify that is there.
        figures: how many are mapped, unmatched, ambiguous and so on.
        sample: the first rows of each kind of change, for a person to look at; empty unless asked for.
    """

    counters: Counters
    figures: Mapping[str, int]
    sample: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
