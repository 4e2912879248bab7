"""How the runs of the last hours went."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from daemon.api.strips import SLOT_SECONDS, StripList, StripsQuery
from daemon.schedules.strips import list_strips
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.status.reading import read_query

HOUR = 3600  # seconds


async def get_strips(request: web.Request) -> web.Response:
    """One strip for each schedule and type of job."""
    slots = read_query(request, StripsQuery).hours * HOUR // SLOT_SECONDS
    now = datetime.now(UTC)
    until = datetime.fromtimestamp((now.timestamp() // SLOT_SECONDS + 1) * SLOT_SECONDS, UTC)
    since = until - timedelta(seconds=slots * SLOT_SECONDS)
    async with request.app[PARTS].database.reading() as connection:
        strips = await list_strips(connection, since, now, slots)
    return json_response(StripList(since, until, SLOT_SECONDS, strips))


STRIP_OPERATIONS = (
    Operation(
        "GET",
        "/api/strips",
        get_strips,
        "How the runs of the last hours went, by schedule and type of job, in slots of a quarter of an hour",
        {200: Answer("A strip for each schedule and type that ran", StripList)},
        query=StripsQuery,
    ),
)
