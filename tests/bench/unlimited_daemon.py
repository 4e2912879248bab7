"""`dongbo` without Nhanh's rate limit, which only a server of one's own may be asked to bear."""

from functools import partial

from daemon import app
from daemon.cli import main
from daemon.sources.limits import LimiterRegistry

app.LimiterRegistry = partial(LimiterRegistry, None)  # type: ignore[misc,assignment]
main()
