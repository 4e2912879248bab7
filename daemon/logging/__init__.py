"""The log: how it is written (`pipeline`), how values look in it (`values`), what it never shows (`redaction`)."""

from daemon.logging.pipeline import LogFormat, LogLevel, configure_logging
from daemon.logging.redaction import forget_secret, redact, register_secret

__all__ = ["LogFormat", "LogLevel", "configure_logging", "forget_secret", "redact", "register_secret"]
