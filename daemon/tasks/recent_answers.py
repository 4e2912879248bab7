"""What the sources have said lately of what hardly ever changes: a few items shall not cost what a whole sync does."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar, cast

from daemon.clock import boot_time

T = TypeVar("T")

LASTS = 60.0  # seconds for which an answer is good enough for a few items


class RecentAnswers:
    """The last answers to some questions about one store, each with the time of its asking."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[float, object]] = {}

    async def ask(self, question: Hashable, ask: Callable[[], Awaitable[T]], *, longest_age: float) -> T:
        """The last answer, unless it is older than `longest_age` in seconds; else a new one. Raises what `ask` does.

        `question` names what is asked, with all on which the answer depends.
        """
        known = self._answers.get(question)
        asked_at = boot_time()
        if known is not None and asked_at - known[0] < longest_age:
            return cast("T", known[1])
        answer = await ask()
        self._answers[question] = (asked_at, answer)
        return answer
