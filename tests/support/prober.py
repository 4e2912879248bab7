"""A probe that asks without a pause, each time on a new connection."""

import asyncio

import aiohttp

LONGEST_WAIT = 30.0  # seconds for one answer


class Prober:
    """Asks `/livez` below a URL again and again; `answers` counts those that were right."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = 0
        self.slowest = 0.0  # seconds
        self._news = asyncio.Event()

    async def probe(self) -> None:
        """Ask until cancelled; whatever fails is raised."""
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=LONGEST_WAIT)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                began = loop.time()
                async with session.get(f"{self.url}/livez") as response:
                    assert response.status == 200, await response.text()
                self.answers += 1
                self.slowest = max(self.slowest, loop.time() - began)
                self._news.set()

    async def answered(self, more: int) -> None:
        """Wait for so many right answers from now on."""
        wanted = self.answers + more
        while self.answers < wanted:
            self._news.clear()
            await self._news.wait()
