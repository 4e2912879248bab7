"""What is said of a delivery holds nothing of the channel's address but the host."""

import pytest
from pydantic import SecretStr

from daemon.alerts.delivery import mask, service_of

TELEGRAM = "tgram://123456789:AAbb-ccddee_ff/987654321"
MAIL = "mailtos://shop%40example.com:pass%2Fword@smtp.example.com:587?from=shop@example.com&to=boss@example.com"


@pytest.mark.parametrize(
    ("url", "said", "shown"),
    [
        (TELEGRAM, "POST https://api.telegram.org/bot123456789:AAbb-ccddee_ff/sendMessage", "api.telegram.org/bot***/"),
        (TELEGRAM, f"Could not load {TELEGRAM}", "Could not load ***"),
        (MAIL, "smtp.example.com refused shop%40example.com / pass/word", "smtp.example.com refused *** / ***"),
        ("json://user:password@10.0.0.1/hook", "10.0.0.1 said 403", "10.0.0.1 said 403"),
    ],
)
def test_secrets_are_masked_and_hosts_are_not(url: str, said: str, shown: str) -> None:
    """In whatever form they come: percent-encoded, alone, or as a whole."""
    assert shown in mask(said, SecretStr(url))


def test_the_service_is_all_that_may_be_shown() -> None:
    """Whatever follows the scheme may be a token."""
    assert service_of(SecretStr(TELEGRAM)) == "tgram"
