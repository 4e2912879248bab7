"""What every command knows besides its arguments: the configuration, the daemon, the shop's zone, how to answer."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand

from daemon.cli.client.daemon import DaemonClient, connect
from daemon.cli.client.target import DaemonTarget, find_target
from daemon.cli.options import CommonOptions, OptionRecord, find_config

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

COMMON = OptionRecord(CommonOptions)


class CommandContext(typer.Context):
    """The one object that a command gets besides its own arguments.

    typer hands it to the parameter that is annotated with it.
    """

    @cached_property
    def _common(self) -> CommonOptions:
        return COMMON.read(self.params)

    @property
    def as_json(self) -> bool:
        """Whether the result is for programs."""
        return self._common.as_json

    @property
    def given_config(self) -> Path | None:
        """The configuration file that was named, which need not be there."""
        return self._common.config

    def find_config(self) -> Path:
        """The configuration file to read. Raises ConfigError where there is none."""
        return find_config(self.given_config)

    @cached_property
    def target(self) -> DaemonTarget:
        """The daemon that the options name. Raises ConfigError."""
        return find_target(self.given_config, self._common.url)

    @property
    def zone(self) -> tzinfo:
        """The zone of the times that people see. Raises as `target`."""
        return self.target.zone

    def daemon(self) -> AbstractAsyncContextManager[DaemonClient]:
        """A client of the daemon; errors are those of `target` and, with its first call, DaemonUnreachable."""
        return connect(self.target)

    def talk(self, conversation: Callable[[DaemonClient], Awaitable[T]]) -> T:
        """Run a conversation with the daemon to its end; its result.

        For commands that ask a person between two conversations. They are not coroutines: Ctrl-C at a question must end
        them at once, and a connection would not outlast the time it takes to think.
        """

        async def run() -> T:
            async with self.daemon() as client:
                return await conversation(client)

        return asyncio.run(run())


class LocalCommand(TyperCommand):
    """A command that takes --config and --json besides its own options; its function may be a coroutine."""

    context_class = CommandContext
    common: ClassVar[Sequence[str]] = ("config", "as_json")

    def __init__(self, *args: Any, params: Sequence[Any] | None = None, **settings: Any) -> None:
        own = list(params or ())
        common = [parameter for parameter in COMMON.parameters if parameter.name in self.common]
        super().__init__(*args, params=[*own, *common], **settings)
        self._own = [parameter.name for parameter in own]

    def invoke(self, ctx: Any) -> Any:
        """Call the function with its own options; it finds the others in its context."""
        return ctx.invoke(_run, self.callback, {name: ctx.params[name] for name in self._own})


class DaemonCommand(LocalCommand):
    """A command that talks to a running daemon: it takes --url, too."""

    common = ("config", "url", "as_json")


class Commands(typer.Typer):
    """A command, or a group of them; `application.COMMANDS` says under which name, and with which help the group."""

    def __init__(self) -> None:
        super().__init__(
            add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
        )

    def command(self, name: str | None = None, *, cls: Any = DaemonCommand, **settings: Any) -> Callable[[F], F]:
        """As typer's own; what it registers gets a `CommandContext`."""
        return super().command(name, cls=cls, **settings)


def _run(function: Callable[..., Any], own: Mapping[str, Any]) -> Any:
    outcome = function(**own)
    return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome
