"""The log: one form for our events and the libraries', fit for who reads it, and never a secret (rule 11)."""

import asyncio
import io
import json
import logging
import os
import pty
import uuid
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
import structlog
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from daemon.errors import SourceRefused
from daemon.jobs.model import JobStatus
from daemon.logging import configure_logging, register_secret
from daemon.logging.redaction import MASK, Redactor, names_a_secret
from daemon.logging.values import plain_event

SECRET = 'shpat_4f9d"1c6b'

log = structlog.get_logger("daemon.tests")


@pytest.fixture(autouse=True)
def _leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("daemon.logging.redaction._process_wide", Redactor())
    root, ours = logging.getLogger(), logging.getLogger("daemon")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    """What is logged to; no terminal."""
    return io.StringIO()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    """All events, as JSON has them."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object(stream: io.StringIO) -> None:
    """What leads comes first, times are UTC, and the context of the task is in every event."""
    configure_logging(stream=stream, environ={})
    with (
        structlog.contextvars.bound_contextvars(store="main", job_id=uuid.UUID(int=1)),
        time_machine.travel(datetime(2026, 10, 1, 7, 30, tzinfo=UTC), tick=False),
    ):
        log.info("page_stored", rows=100, price=Decimal("1.50"), status=JobStatus.RUNNING)
    (event,) = events(stream)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert event == {
        "timestamp": "2026-10-01T07:30:00.000+00:00",
        "level": "info",
        "event": "page_stored",
        "logger": "daemon.tests",
        "store": "main",
        "job_id": str(uuid.UUID(int=1)),
        "rows": 100,
        "price": "1.50",
        "status": "RUNNING",
    }


async def test_tasks_keep_their_contexts_apart(stream: io.StringIO) -> None:
    """What one job binds shows in its own events only."""
    configure_logging(stream=stream, environ={})

    async def run(store: str) -> None:
        structlog.contextvars.bind_contextvars(store=store)
        await asyncio.sleep(0)
        log.info("job_started", expected=store)

    async with asyncio.TaskGroup() as tasks:
        for store in ("a", "b"):
            tasks.create_task(run(store), name=store)
    assert all(event["store"] == event["expected"] for event in events(stream))
    assert len(events(stream)) == 2


def test_libraries_go_the_same_way(stream: io.StringIO) -> None:
    """The libraries' records look like ours, with the job's context, and are heard from warnings on."""
    configure_logging(stream=stream, environ={})
    structlog.contextvars.bind_contextvars(store="main")
    logging.getLogger("aiohttp.server").info("chatter")
    logging.getLogger("apscheduler").warning("run of %s missed", "x")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    shown, warned = events(stream)
    assert (shown["event"], shown["level"], shown["logger"], shown["store"]) == (
        "run of x missed",
        "warning",
        "apscheduler",
        "main",
    )
    assert "DeprecationWarning: old" in warned["event"]


def test_the_level_may_change(stream: io.StringIO) -> None:
    """A second call applies a reloaded level to loggers that are in use already."""
    configure_logging("warning", stream=stream, environ={})
    log.info("unseen")
    configure_logging("debug", stream=stream, environ={})
    log.debug("seen")
    logging.getLogger("asyncio").debug("seen too")
    assert [event["event"] for event in events(stream)] == ["seen", "seen too"]


class TestSecrets:
    """Whatever carries a secret, it does not arrive."""

    @pytest.mark.parametrize("log_format", ["json", "console"])
    def test_known_values_are_masked_everywhere(self, stream: io.StringIO, log_format: Any) -> None:
        """In events, keys, nested values, arguments of libraries, messages of exceptions and their source lines."""
        configure_logging("debug", log_format, stream=stream, environ={})
        register_secret(SECRET)
        event = f"called with {SECRET}"
        log.info(event, url=f"https://x/?t={SECRET}", nested=[{"a": (SECRET,)}], **{SECRET: 1})
        logging.getLogger("aiohttp").warning("header %r", {"x": SECRET})
        logging.getLogger("aiohttp").warning("bytes %s", SECRET.encode())
        try:
            raise KeyError(SECRET) from ValueError(SECRET)
        except KeyError:
            log.exception("crashed", error=RuntimeError(SECRET))
        assert "4f9d" not in stream.getvalue()
        assert stream.getvalue().count(MASK) >= 8

    def test_telling_names_are_masked(self, stream: io.StringIO) -> None:
        """A value under a telling name is masked although nobody has registered it."""
        configure_logging(stream=stream, environ={})
        log.info("request_sent", headers={"X-Shopify-Access-Token": "abc", "Accept": "json"}, secret_key=7, token=None)
        (event,) = events(stream)
        assert event["headers"] == {"X-Shopify-Access-Token": MASK, "Accept": "json"}
        assert (event["secret_key"], event["token"]) == (MASK, None)

    @pytest.mark.parametrize(
        "name", ["token", "Authorization", "access_token", "db-password", "client_secret", "api-key"]
    )
    def test_telling_names(self, name: str) -> None:
        """The usual names of secrets, however they are written."""
        assert names_a_secret(name)

    @pytest.mark.parametrize("name", ["tokens_left", "event", "authorized", "key", "credential", "passwords_checked"])
    def test_harmless_names(self, name: str) -> None:
        """Names that only look alike are shown."""
        assert not names_a_secret(name)

    def test_short_values_are_left_alone(self, stream: io.StringIO) -> None:
        """A value so short that it stands in ordinary words would make the log unreadable."""
        configure_logging(stream=stream, environ={})
        register_secret("store")
        log.info("page_stored")
        assert events(stream)[0]["event"] == "page_stored"

    @given(
        st.text(st.characters(exclude_characters="0123456789 *", exclude_categories=["Cs"]), min_size=6, max_size=20),
        st.text("0123456789 ", max_size=5),
        st.text("0123456789 ", max_size=5),
    )
    def test_any_secret_in_any_text(self, secret: str, before: str, after: str) -> None:
        """A registered value is found in whatever surrounds it."""
        redactor = Redactor()
        redactor.register(secret)
        assert redactor.redact(before + secret + after) == before + MASK + after

    def test_a_long_text_is_cut_after_masking(self, stream: io.StringIO) -> None:
        """The cut leaves no half of a secret."""
        configure_logging(stream=stream, environ={})
        register_secret("x" * 20_000)
        log.info("big", payload="x" * 20_000, other="ộ" * 20_000)
        assert events(stream)[0]["payload"] == MASK
        assert events(stream)[0]["other"].endswith("ộ… (20000 characters)")


class TestExceptions:
    """A stack trace is for bugs."""

    def test_errors_for_people_have_none(self, stream: io.StringIO) -> None:
        """An error whose text says what to do gives its text."""
        configure_logging(stream=stream, environ={})
        try:
            raise SourceRefused("the token has expired: renew it")
        except SourceRefused:
            log.exception("job_failed")
        (event,) = events(stream)
        assert event["error"] == "the token has expired: renew it"
        assert "exception" not in event

    def test_bugs_are_compact(self, stream: io.StringIO) -> None:
        """A bug gives the places it went through, its causes, and the members of a group; no source, no variables."""
        configure_logging(stream=stream, environ={})
        try:
            raise ExceptionGroup("tasks", [ValueError("one")]) from KeyError("cause")
        except ExceptionGroup as error:
            log.error("task_crashed", exc_info=error)
        exception = events(stream)[0]["exception"]
        assert (exception["type"], exception["cause"]["type"]) == ("ExceptionGroup", "KeyError")
        assert exception["exceptions"] == [{"type": "ValueError", "message": "one", "frames": []}]
        assert exception["frames"][0].startswith(__file__)

    def test_the_console_has_the_whole_trace(self, stream: io.StringIO) -> None:
        """Whoever develops reads a traceback as Python prints it."""
        configure_logging(log_format="console", stream=stream, environ={})
        try:
            raise ValueError("one")
        except ValueError:
            log.exception("task_crashed")
        assert "Traceback (most recent call last):\n" in stream.getvalue()
        assert stream.getvalue().endswith("\nValueError: one\n")


class TestValues:
    """Nothing that is logged can stop the log."""

    def test_values_that_resist(self, stream: io.StringIO) -> None:
        """Values that can't be shown, are too deep, contain themselves or don't fit JSON still give a line."""

        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        endless: list[Any] = []
        endless.append(endless)
        configure_logging(stream=stream, environ={})
        log.info("odd", broken=Broken(), endless=endless, half="\ud800", huge=2**70, nan=float("nan"), keys={1: {2}})
        log.info("path", path=Path("/x"), time=datetime(2026, 1, 1, tzinfo=UTC), secret=SecretStr("x"), type=str)
        odd, path = events(stream)
        assert odd["broken"] == "<Broken that can't be shown>"
        assert odd["huge"] == str(2**70)
        assert (odd["half"], odd["nan"], odd["keys"]) == ("\\ud800", None, {"1": [2]})
        assert (path["path"], path["time"]) == ("/x", "2026-01-01T00:00:00+00:00")

    def test_a_wrong_call_of_a_library(self, stream: io.StringIO) -> None:
        """A record that can't be formatted is reported by its origin, without its content."""
        configure_logging(stream=stream, environ={})
        logging.getLogger("aiohttp").warning("%s %s", "content")
        assert stream.getvalue().startswith("log_record_lost logger=aiohttp at=test_logging.py:")
        assert "content" not in stream.getvalue()

    def test_a_stream_that_is_gone(self, stream: io.StringIO) -> None:
        """Work goes on where nobody reads the log any more."""
        configure_logging(stream=stream, environ={})
        stream.close()
        log.info("unheard")

    @given(
        st.dictionaries(
            st.text(max_size=5),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
                lambda values: st.lists(values, max_size=3) | st.dictionaries(st.integers(), values, max_size=3),
                max_leaves=10,
            ),
            max_size=3,
        )
    )
    def test_any_value_becomes_json(self, event: dict[str, Any]) -> None:
        """Whatever is logged has a form that JSON can hold."""
        assert orjson.dumps(plain_event(event))

    def test_the_console_shows_control_characters(self, stream: io.StringIO) -> None:
        """A customer's name can neither colour the terminal nor forge a second line."""
        configure_logging(log_format="console", stream=stream, environ={})
        log.info("row_failed", name="Lan\x1b[31m\n2026-01-01 [info] forged")
        assert "\x1b" not in stream.getvalue()
        assert stream.getvalue().count("\n") == 1


class TestForms:
    """Which form goes where."""

    def test_a_terminal_gets_lines_with_colours(self) -> None:
        """A person at a terminal gets a line to read, with the shop's time."""
        assert "\x1b[" in self.on_terminal({})
        plain = self.on_terminal({"NO_COLOR": "1"})
        assert "\x1b[" not in plain
        assert plain.startswith("2026-10-01 14:30:00 [info ")
        assert "page_stored" in plain

    def on_terminal(self, environ: dict[str, str]) -> str:
        """What arrives at the other end of a terminal."""
        master, slave = pty.openpty()
        with open(slave, "w") as terminal, open(master, "rb", buffering=0) as screen:  # noqa: PTH123 - descriptors
            configure_logging(stream=terminal, zone=ZoneInfo("Asia/Ho_Chi_Minh"), environ=environ)
            with time_machine.travel(datetime(2026, 10, 1, 7, 30, tzinfo=UTC), tick=False):
                log.info("page_stored")
            return screen.read(4096).decode()

    @pytest.mark.parametrize("log_format", ["auto", "console"])
    def test_the_journal_gets_priorities(self, tmp_path: Path, log_format: Any) -> None:
        """Under journald every line begins with its priority, and has no time of ours."""
        path = tmp_path / "journal"
        with path.open("w") as journal:
            status = os.fstat(journal.fileno())
            environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            configure_logging("debug", log_format, stream=journal, environ=environ)
            log.debug("a")
            log.info("b")
            log.warning("c")
            log.error("d", exc_info=ValueError("x\ny"))
            log.critical("e")
        lines = path.read_text().splitlines()
        assert [line[:3] for line in lines if "<3>" not in line] == ["<7>", "<6>", "<4>", "<2>"]
        assert all(line[:3] in ("<7>", "<6>", "<4>", "<3>", "<2>") for line in lines)
        assert "timestamp" not in path.read_text()
        assert str(datetime.now(UTC).year) not in path.read_text()
        if log_format == "auto":
            assert json.loads(lines[1][3:])["event"] == "b"

    def test_another_stream_than_the_journal(self, tmp_path: Path) -> None:
        """Output that is redirected from journald to a file is plain JSON with times again."""
        path = tmp_path / "file"
        with path.open("w") as file:
            configure_logging(stream=file, environ={"JOURNAL_STREAM": "1:2"})
            log.info("a")
        assert "timestamp" in json.loads(path.read_text())


HOSTILE = "\x1b]0;owned\x07\x9b31m\x7f\u202ex\u2066\u2028\U000e0041"


class TestHostileText:
    """Whatever is logged, `journalctl` and a terminal get text."""

    @pytest.mark.parametrize("log_format", ["json", "console"])
    @given(text=st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Lu"]), min_size=1) | st.just(HOSTILE))
    def test_nothing_that_is_logged_steers_a_terminal(self, log_format: Any, text: str) -> None:
        """Events, keys, values, nested ones of both, names of loggers, exceptions and their notes."""
        stream = io.StringIO()
        configure_logging("debug", log_format, stream=stream, environ={})
        log.info(text, **{text: text, "nested": {text: [text, {text: text}]}, "error": ValueError(text)})
        logging.getLogger(text).warning("library %s %r", text, text)
        try:
            raise RuntimeError(text) from ValueError(text)
        except RuntimeError as error:
            error.add_note(text)
            log.exception("crashed")
        shown = stream.getvalue()
        assert {character for character in shown if character != "\n" and not character.isprintable()} == set()

    def test_json_lines_keep_the_value(self, stream: io.StringIO) -> None:
        """Keys and values are read back as they were; each event is one line."""
        configure_logging("debug", "json", stream=stream, environ={})
        log.info(HOSTILE, **{HOSTILE: {HOSTILE: HOSTILE}})
        (event,) = events(stream)
        assert event["event"] == HOSTILE
        assert event[HOSTILE] == {HOSTILE: HOSTILE}
