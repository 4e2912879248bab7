"""A short soak: whatever happens to a shop at work, every rule holds in the end, and nothing piles up."""

from pathlib import Path

import pytest

from tests.soak.life import soak
from tests.soak.report import say

SEED = 7
SECONDS, ROUND_SECONDS = 20.0, 8.0


@pytest.mark.timeout(180)
async def test_a_short_soak(tmp_path: Path) -> None:
    """Rules 3, 6, 12, 16 and 17 under random faults; `python -m tests.soak --seed 7 --seconds 600` is a longer one."""
    say(f"seed {SEED}: python -m tests.soak --seed {SEED} --seconds {SECONDS:.0f}")
    soaked = await soak(tmp_path, SEED, SECONDS, say, ROUND_SECONDS)
    assert not soaked.problems, soaked
