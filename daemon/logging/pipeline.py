"""One pipeline for our events (structlog) and for the libraries' (the standard library's logging).

A terminal gets lines to read, everything else JSON, one object a line. Under journald each line begins with its
`<priority>` (sd-daemon(3)) and has no time, since journald keeps both. Context (`store`, `job_id`, `type`, `schedule`)
is bound with `structlog.contextvars` by whoever knows it.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.stdlib import ProcessorFormatter

from daemon.errors import DongboError
from daemon.journal import is_journal, with_priority
from daemon.logging.job_lines import hand_on
from daemon.logging.values import describe_exception, format_exception, plain_event
from daemon.terminal import drawable
from daemon.texts import escaped, escaped_json

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
EventDict = MutableMapping[str, Any]
Processor = Callable[[Any, str, EventDict], EventDict]
Renderer = Callable[[Any, str, EventDict], str]

OUR_LOGGER = "daemon"  # the package: libraries are heard from WARNING on
COMMON_STEPS: tuple[Any, ...] = (structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name)


def configure_logging(
    level: LogLevel = "info",
    log_format: LogFormat = "auto",
    *,
    stream: TextIO | None = None,
    zone: tzinfo | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send all logging of the process to `stream`; may be called again, such as after a reload.

    Args:
        level: the least important level shown; at `debug` the libraries' too.
        log_format: `auto` is `console` on a terminal and `json` elsewhere.
        stream: standard error by default.
        zone: of the times on the console; the machine's by default. JSON has UTC.
        environ: is asked for `JOURNAL_STREAM` and `NO_COLOR`.
    """
    stream = drawable(stream or sys.stderr)
    as_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    colours = stream.isatty() and not environ.get("NO_COLOR")
    handler = _Handler(stream)
    handler.setFormatter(_formatter(as_json, is_journal(stream, environ), zone, colours))

    ours: int = getattr(logging, level.upper())
    libraries = ours if level == "debug" else max(ours, logging.WARNING)
    logging.basicConfig(handlers=[handler], level=libraries, force=True)
    logging.getLogger(OUR_LOGGER).setLevel(ours)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *COMMON_STEPS,
            _hand_on,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["daemon.logging.faults"]),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # so that a reload, and structlog.testing, reach the loggers of all modules
    )


def _hand_on(logger: Any, method: str, event: EventDict) -> EventDict:
    """Also to whoever keeps lines with the job that they are about."""
    if "job_id" in event:
        hand_on(_describe_exception(logger, method, dict(event)))
    return event


class _Handler(logging.StreamHandler[TextIO]):
    """Reports a record that can't be written by its origin only: its content may not be fit to be shown."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        reason = type(sys.exc_info()[1]).__name__
        origin = escaped(f"logger={record.name} at={record.filename}:{record.lineno}")
        try:
            self.stream.write(f"log_record_lost {origin} reason={reason}{self.terminator}")
        except (OSError, ValueError):
            return  # the stream itself is gone, and there is nowhere else to say so


def _formatter(as_json: bool, in_journal: bool, zone: tzinfo | None, colours: bool) -> ProcessorFormatter:
    steps: list[Any] = [_describe_exception if as_json else _format_exception]
    if not in_journal:
        steps.append(_add_utc_time if as_json else _add_local_time(zone))
    steps += [ProcessorFormatter.remove_processors_meta, _make_plain]
    if not as_json:
        steps.append(_escape_controls)
    render = _render_json if as_json else _console_renderer(colours)
    steps.append(_with_priority(render) if in_journal else render)
    return ProcessorFormatter(
        processors=steps, foreign_pre_chain=[structlog.contextvars.merge_contextvars, *COMMON_STEPS]
    )


def _describe_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The exception as an object. A stack trace is for bugs: errors meant for people show only their message."""
    match _take_exception(event):
        case None:
            pass
        case DongboError() as error:
            event.setdefault("error", str(error))
        case error:
            event["exception"] = describe_exception(error)
    return event


def _format_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    match _take_exception(event):
        case None:
            pass
        case DongboError() as error:
            event.setdefault("error", str(error))
        case error:
            event["exception"] = format_exception(error)
    return event


def _take_exception(event: EventDict) -> BaseException | None:
    """What `exc_info` stands for: an exception, the triple of `sys.exc_info`, or true for the present one."""
    match event.pop("exc_info", None):
        case BaseException() as error:
            return error
        case (_, BaseException() as error, _):
            return error
        case tuple() | None | False:
            return None
        case _:
            return sys.exc_info()[1]


def _add_utc_time(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.fromtimestamp(event["_record"].created, UTC).isoformat(timespec="milliseconds")
    return event


def _add_local_time(zone: tzinfo | None) -> Processor:
    def add_local_time(_logger: Any, _method: str, event: EventDict) -> EventDict:
        local = datetime.fromtimestamp(event["_record"].created, UTC).astimezone(zone)
        event["timestamp"] = f"{local:%Y-%m-%d %H:%M:%S}"
        return event

    return add_local_time


def _make_plain(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return plain_event(event)


def _escape_controls(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Leave no way for a logged key or value to move the cursor or forge a line."""
    return {escaped(key): _escaped_under(key, value) for key, value in event.items()}


def _escaped_under(key: str, value: object) -> object:
    if not isinstance(value, str):
        return value  # nested: the renderer writes its `repr`, which escapes the same
    return escaped(value, keep="\n" if key in ("exception", "stack_info") else "")


def _console_renderer(colours: bool) -> Renderer:
    return ConsoleRenderer(colors=colours, sort_keys=False, exception_formatter=plain_traceback)


def _render_json(_logger: Any, _method: str, event: EventDict) -> str:
    leading = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return escaped_json(orjson.dumps(leading | dict(event)).decode())


def _with_priority(render: Renderer) -> Renderer:
    def render_with_priority(logger: Any, method: str, event: EventDict) -> str:
        level = event["level"]  # the renderer takes it out
        return with_priority(render(logger, method, event), level)

    return render_with_priority
