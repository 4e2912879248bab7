"""Machines of their own on one kernel: network namespaces, each with one cable to the shops and one to the database.

Services are where `daemon.config` lets a shop be without TLS, on addresses of the loopback network: those of the hub
they are, and for a machine they lie at the end of a cable, since only 127.0.0.1 is its own.

    hub                    127.213.0.1 shops     127.213.0.2 database
                               |    one pair of     |
    machine                shops 198.18.0.x      database 198.18.0.y

The hub is a namespace, too: a cable that came and went in the test's own would make browsers of other tests drop what
they load (`net::ERR_NETWORK_CHANGED`). The test itself stays outside, and listens on sockets that were made in the hub.

A cable that is pulled is silent: nothing is refused, nothing ends. Only root can make such machines, with `ip` of
iproute2.
"""

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest
import time_machine

MUST: Final = os.environ.get("DONGBO_NETWORK_TESTS") == "must"
NAMES: Final = f"dongbo-{os.getpid() % 250}"  # what those of namespaces begin with, for each worker of the tests
HUB: Final = f"{NAMES}-hub"
CLONE_NEWNET: Final = 0x40000000  # clone(2)
CLONE_NEWUTS: Final = 0x04000000
LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Service(StrEnum):
    """What a machine has a cable to."""

    SHOPS = "shops"
    DATABASE = "database"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.213.0.{1 + list(Service).index(self)}"


@dataclass(frozen=True)
class Machine:
    """A network namespace.

    Args:
        name: what the machine is called.
        place: its number among those of the test, from 0.
        namespace: its name under /run/netns.
    """

    name: str
    place: int
    namespace: str

    def address(self, service: Service) -> str:
        """Where its calls to a service come from."""
        return self._addresses(service)[1]

    def pull(self, service: Service) -> None:
        """Pull the cable."""
        _ip("-n", HUB, "link", "set", self._end(service), "down")

    def plug(self, service: Service) -> None:
        """Put it back in."""
        _ip("-n", HUB, "link", "set", self._end(service), "up")

    def connect(self) -> None:
        """Lay its cables. Raises CalledProcessError."""
        _ip("-n", self.namespace, "address", "del", "127.0.0.1/8", "dev", "lo")
        _ip("-n", self.namespace, "address", "add", "127.0.0.1/32", "dev", "lo")
        for service in Service:
            here, there = self._addresses(service)
            end = self._end(service)
            _ip("-n", HUB, "link", "add", end, "type", "veth", "peer", "name", service, "netns", self.namespace)
            _ip("-n", HUB, "address", "add", f"{here}/30", "dev", end)
            _ip("-n", HUB, "link", "set", end, "up")
            _ip("-n", self.namespace, "address", "add", f"{there}/30", "dev", service)
            _ip("-n", self.namespace, "link", "set", service, "up")
            _ip("-n", self.namespace, "route", "add", service.address, "via", here, "dev", service, "src", there)

    def enter(self, clock_ahead: timedelta) -> None:
        """Become a process of this machine, whose clock may be wrong: the prelude of a forked daemon.

        The clock that counts from the machine's start is right, as on a machine whose wall clock was never set.
        """
        _enter(self.namespace)
        _check(LIBC.unshare(CLONE_NEWUTS))
        socket.sethostname(self.name)
        if clock_ahead:
            time_machine.travel(datetime.now(UTC) + clock_ahead, tick=True).start()

    def _end(self, service: Service) -> str:
        """The end of a cable in the hub; 15 characters at most."""
        return f"{service}-{self.place}"

    def _addresses(self, service: Service) -> tuple[str, str]:
        """Of the two ends of a cable."""
        first = 4 * (len(Service) * self.place + list(Service).index(service))
        return f"198.18.0.{first + 1}", f"198.18.0.{first + 2}"


@contextmanager
def machines(names: Sequence[str]) -> Iterator[list[Machine]]:
    """So many machines; skips the test where none can be made, unless it must run."""
    if why := _why_not():
        if MUST:
            pytest.fail(why)
        pytest.skip(why)
    with ExitStack() as stack:
        stack.enter_context(_namespace(HUB))
        made = []
        for place, name in enumerate(names):
            machine = Machine(name, place, stack.enter_context(_namespace(f"{NAMES}-{name}")))
            machine.connect()
            made.append(machine)
        yield made


def tcp_socket(namespace: str = HUB) -> socket.socket:
    """A TCP socket, not bound yet, of the namespace: it belongs to the one it was made in, whoever uses it."""
    with ThreadPoolExecutor(max_workers=1) as visitor:  # a thread's namespace is its own
        visitor.submit(_enter, namespace).result()
        return visitor.submit(socket.socket).result()


@contextmanager
def _namespace(name: str) -> Iterator[str]:
    """A network where loopback addresses may lie at the end of a cable, instead of one that a killed test has left."""
    subprocess.run(("ip", "netns", "delete", name), check=False, capture_output=True)
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("netns", "exec", name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
        yield name
    finally:
        _ip("netns", "delete", name)  # and with it both ends of its cables


def _enter(namespace: str) -> None:
    """Take the calling thread there."""
    with Path(f"/run/netns/{namespace}").open() as opened:
        _check(LIBC.setns(opened.fileno(), CLONE_NEWNET))


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    if shutil.which("ip") is None:
        return "there is no `ip`: install iproute2"
    probe = ("ip", "netns", "exec", f"{NAMES}-probe", "true")
    try:
        _ip("netns", "add", probe[3])
        try:
            subprocess.run(probe, check=True, capture_output=True)
        finally:
            _ip("netns", "delete", probe[3])
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.decode().strip()}"
    return None


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
