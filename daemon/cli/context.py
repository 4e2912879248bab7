"""How a command talks to the daemon: opens a client, runs a coroutine with it, and ends with it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from daemon.cli.client.daemon import DaemonClient, connect
from daemon.cli.client.target import Target, find_target

T = TypeVar("T")


def talk(config: Path | None, url: str | None, conversation: Callable[[DaemonClient, Target], Awaitable[T]]) -> T:
    """Run `conversation` with a client of the daemon that the options name; its result.

    Raises ConfigError, DaemonUnreachable, and whatever the conversation raises.
    """
    target = find_target(config, url)

    async def run() -> T:
        async with connect(target) as client:
            return await conversation(client, target)

    return asyncio.run(run())
