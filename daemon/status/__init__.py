"""The status endpoint: the job page, the JSON API, the event stream and the probes.

`parts` is what it is given, `server` opens and closes it, `handlers` answer, one module a noun, and `routes` is the one
table of what they answer, from which both they are registered and `/openapi.json` is made. What is sent and answered
is described in `daemon.api`.
"""

from daemon.status.parts import StatusParts
from daemon.status.server import serving

__all__ = ["StatusParts", "serving"]
