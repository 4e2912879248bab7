"""Trying the credentials with which the daemon works: the shell of whoever asks has not got them."""

from aiohttp import web

from daemon.api.findings import Findings
from daemon.jobs.steering import Role
from daemon.status.operations import CREDENTIAL_CHECK, Answer, Operation, json_response


async def post_credential_checks(request: web.Request) -> web.Response:
    """Try them by calls that change nothing; whoever asks meanwhile gets the same answer."""
    return json_response(Findings(await request.app[CREDENTIAL_CHECK].get()))


CHECK_OPERATIONS = (
    Operation(
        "POST",
        "/api/checks/credentials",
        post_credential_checks,
        "Try the credentials of all stores, and say which jobs they allow; changes nothing",
        {200: Answer("What was found, in the order in which it was checked", Findings)},
        needs=Role.READ,
    ),
)
