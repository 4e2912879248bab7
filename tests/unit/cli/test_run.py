"""What `dongbo run` is told on its command line, and what it says of it."""

import pytest

from daemon.cli.commands.run import listen_address, what_happens
from daemon.config import Settings
from daemon.config.settings import StatusSettings
from daemon.errors import ConfigError
from daemon.roles import DaemonRole


def test_another_address_is_held_to_the_rules_of_the_configured_one() -> None:
    """No door is open without a token because it was opened on the command line."""
    assert str(listen_address(StatusSettings(), "127.0.0.1:8766")) == "127.0.0.1:8766"
    for listen, said in (("0.0.0.0:8766", "reachable from other machines"), ("somewhere", "not an address")):
        with pytest.raises(ConfigError, match=f"^--listen, or [$]DONGBO_LISTEN: .*{said}"):
            listen_address(StatusSettings(), listen)


def test_a_daemon_says_which_part_of_the_work_is_its_own() -> None:
    """One that fires nothing tells of no schedules."""
    assert what_happens(Settings(), "http://x") == [
        "Job page: http://x",
        "  No schedules: jobs run when you ask for them, such as with `dongbo pull`.",
    ]
    assert what_happens(Settings(), "http://x", frozenset({DaemonRole.WORKER})) == [
        "Probes and metrics alone: http://x",
        "  Roles: worker; others of the fleet do the rest.",
    ]
