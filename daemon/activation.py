"""The sockets that the service manager has opened for this process: the protocol of sd_listen_fds(3).

They stay open across a restart of the daemon: whoever connects meanwhile waits in the kernel's queue, and is answered
by the next process.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence

from daemon.errors import ConfigError

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")


def passed_sockets(environ: MutableMapping[str, str] = os.environ) -> Sequence[socket.socket]:
    """Take over the sockets that were passed; none where nobody passed any to this very process.

    The variables of the protocol are taken out of the environment, and no child inherits the sockets: PostgreSQL would
    keep the port open when the daemon is gone.

    Raises ConfigError where what was passed does not listen for connections.
    """
    pid, _pidfd, count, _names = (environ.pop(name, "") for name in VARIABLES)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    return [_take_over(descriptor) for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))]


def _take_over(descriptor: int) -> socket.socket:
    try:
        passed = socket.socket(fileno=descriptor)
    except OSError:  # something else, or nothing
        raise _unusable(descriptor) from None
    if passed.type is not socket.SOCK_STREAM or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        passed.close()
        raise _unusable(descriptor)
    passed.set_inheritable(False)
    passed.setblocking(False)
    return passed


def _unusable(descriptor: int) -> ConfigError:
    return ConfigError(
        f"the service manager has passed a file descriptor ({descriptor}) that does not listen for connections: the"
        " socket unit needs ListenStream=, and neither Accept=yes nor other kinds of sockets"
    )
