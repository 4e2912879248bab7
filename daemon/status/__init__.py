"""The status endpoint: the job page, the JSON API, the event stream and the probes.

`parts` is what it is given, `server` opens and closes it, `routes` is the one table of what it answers, from which both
the handlers are registered and `/openapi.json` is made.
"""

from daemon.status.parts import StatusParts
from daemon.status.server import serving

__all__ = ["StatusParts", "serving"]
