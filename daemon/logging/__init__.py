"""The log: how it is written (`pipeline`), how values look in it (`values`), what it never shows (`redaction`)."""

from daemon.logging.pipeline import LogFormat, LogLevel, configure_logging
from daemon.logging.redaction import redact, register_secret

__all__ = ["LogFormat", "LogLevel", "configure_logging", "redact", "register_secret"]
