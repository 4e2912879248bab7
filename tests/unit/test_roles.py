"""What a daemon does of a fleet's work, as a person writes it."""

import pytest

from daemon.errors import ConfigError
from daemon.roles import ALL_ROLES, DaemonRole, in_order, parse_roles


def test_roles_are_read_in_any_order_and_listed_in_one() -> None:
    """Spaces and repeats do no harm."""
    assert in_order(parse_roles("status, worker,worker")) == [DaemonRole.WORKER, DaemonRole.STATUS]
    assert parse_roles("worker,schedules,status") == ALL_ROLES


@pytest.mark.parametrize(("text", "said"), [("worker,web", "web is no role"), (" , ", "names no role")])
def test_what_is_no_role_is_refused_with_what_there_is(text: str, said: str) -> None:
    """A daemon that does less than was meant would be noticed late."""
    with pytest.raises(ConfigError, match=f"^--roles, or [$]DONGBO_ROLES: .*{said}.*worker, schedules, status"):
        parse_roles(text)
