"""What the endpoint does not answer while the daemon waits for its database, or where it is for probes alone."""

from aiohttp import web

from daemon.i18n import gettext as _
from daemon.roles import DaemonRole, in_order
from daemon.status.operations import PARTS
from daemon.status.problems import Handler, Problem, database_away

NEEDS_THE_DATABASE = "/api/"
NEEDS_NONE = "/api/session"
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


@web.middleware
async def answer_by_role(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without the role `status` the daemon answers probes alone."""
    roles = request.app[PARTS].roles
    if DaemonRole.STATUS in roles or request.path in PROBES:
        return await handler(request)
    raise Problem(
        404,
        _("This daemon answers probes and metrics alone: its roles are {roles}. Ask one with the role status.").format(
            roles=", ".join(in_order(roles))
        ),
    )


@web.middleware
async def answer_while_starting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what needs the database, with what is waited for; page, probes and status are there at once."""
    obstacle = request.app[PARTS].obstacle()
    if obstacle is not None and request.path.startswith(NEEDS_THE_DATABASE) and request.path != NEEDS_NONE:
        raise database_away(_("The daemon waits for its database: {reason}").format(reason=obstacle))
    return await handler(request)
