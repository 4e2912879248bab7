"""Machines of their own, and the one that the tests run on."""

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.namespaces import Service, machines, tcp_socket

LINK: Final = 0x1  # groups of rtnetlink(7)
IPV4_ADDRESS: Final = 0x10
IPV6_ADDRESS: Final = 0x100


@pytest.fixture
def news() -> Iterator[socket.socket]:
    """What a browser hears of the network of the machine that it runs on."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as opened:
        opened.bind((0, LINK | IPV4_ADDRESS | IPV6_ADDRESS))
        opened.setblocking(False)
        yield opened


def test_a_service_tells_machines_apart_and_the_tests_own_network_stays_as_it_is(news: socket.socket) -> None:
    """Calls come from the address of their machine, and no cable begins, goes up or down where the tests run."""
    with machines(("west", "east")) as made, tcp_socket() as service:
        service.bind((Service.SHOPS.address, 0))
        service.listen()
        service.settimeout(10)
        for machine in made:
            with tcp_socket(machine.namespace) as client:
                client.settimeout(10)
                client.connect(service.getsockname())
                accepted, (caller, _) = service.accept()
                accepted.close()
            assert caller == machine.address(Service.SHOPS)
            machine.pull(Service.DATABASE)
            machine.plug(Service.DATABASE)
    assert [message for message in heard(news) if any(service.encode() in message for service in Service)] == []


def heard(news: socket.socket) -> Iterator[bytes]:
    """All that has come; others on this machine may cause some of it."""
    while True:
        try:
            yield news.recv(65536)
        except BlockingIOError:
            return
