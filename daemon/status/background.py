"""Tasks that live as long as the endpoint, and database readings shared by all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


class Background:
    """Owns tasks: leaving it cancels them and waits for their end.

    Not a TaskGroup, because that would wrap what the endpoint's caller raises into an ExceptionGroup.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run a coroutine; an error that ends it is logged."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background_task_crashed", task=task.get_name(), exc_info=task.exception())


class SharedReading(Generic[T]):
    """A reading that never runs twice at once: whoever asks meanwhile gets the result of the one under way.

    So probes of a database that hangs do not pile up on the pool. A reading that takes too long continues by itself,
    because cancelling a statement needs the very server that does not answer.
    """

    def __init__(self, background: Background, name: str, read: Callable[[], Awaitable[T]], timeout: float) -> None:
        self._background = background
        self._name = name
        self._read = read
        self._timeout = timeout  # seconds
        self._task: asyncio.Task[T | Exception] | None = None

    async def get(self) -> T:
        """The reading. Raises TimeoutError, and what the reading raises."""
        if self._task is None or self._task.done():
            self._task = self._background.start(self._outcome(), self._name)
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=self._timeout)
        if not done:
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        outcome = task.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _outcome(self) -> T | Exception:
        try:
            return await self._read()
        except Exception as error:  # noqa: BLE001 - raised to all who wait for it
            return error
