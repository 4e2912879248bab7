"""Sockets that are passed to the daemon, by the words of sd_listen_fds(3)."""

import os
import socket
from pathlib import Path

import pytest

from daemon import activation
from daemon.activation import passed_sockets
from daemon.errors import ConfigError


def variables(count: str = "1", pid: int | None = None) -> dict[str, str]:
    """What the service manager sets."""
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": "dongbo.socket", "HOME": "/"}


def place(monkeypatch: pytest.MonkeyPatch, passed: socket.socket) -> None:
    """The first passed descriptor is this socket, which belongs to whoever takes it over."""
    monkeypatch.setattr(activation, "FIRST_DESCRIPTOR", passed.detach())


def test_a_listening_socket_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same socket, which no child inherits, and the variables are gone from the environment."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.set_inheritable(True)
    name = listening.getsockname()
    place(monkeypatch, listening)
    environ = variables()
    (passed,) = passed_sockets(environ)
    with passed:
        assert passed.getsockname() == name
        assert not passed.get_inheritable()
        assert not passed.getblocking()
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("environ", [{}, variables(pid=1), variables(count="0"), variables(count="")])
def test_what_is_not_for_this_process_is_left_alone(environ: dict[str, str]) -> None:
    """No variables, those of another process, no sockets: nothing is passed, and no variable is left."""
    assert passed_sockets(environ) == []
    assert "LISTEN_FDS" not in environ


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch, kind: socket.SocketKind) -> None:
    """A connection, as `Accept=yes` passes it, and a datagram socket are mistakes of the socket unit."""
    with socket.socket(socket.AF_INET, kind) as passed:
        place(monkeypatch, passed)
        with pytest.raises(ConfigError, match="ListenStream="):
            passed_sockets(variables())


def test_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is no socket is a mistake of the unit, too."""
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(activation, "FIRST_DESCRIPTOR", file.fileno())
        with pytest.raises(ConfigError, match="ListenStream="):
            passed_sockets(variables())
