"""What people have done, in words."""

from daemon.jobs.action_words import action_text
from daemon.jobs.actions import ActionKind, Way


def test_whoever_is_known_is_named() -> None:
    """And where no name is known, the way alone is told."""
    assert action_text(ActionKind.APPROVE, Way.PAGE, "Lan") == "approved by Lan on the page"
    assert action_text(ActionKind.APPROVE, Way.CLI, None) == "approved in the terminal"
    assert action_text(ActionKind.EXCLUDE, Way.API, "Lan") == "said to have no counterpart by Lan over the API"
