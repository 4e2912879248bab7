"""The configuration that a service begins with: the example, in which nothing is connected yet. It is valid."""

import re
from collections.abc import Iterator
from pathlib import Path

from daemon.cli.installation.places import Service, below, installed_services
from daemon.config import EXAMPLE_CONFIG, ListenAddress, TcpAddress, load_settings
from daemon.config.address import parse_listen
from daemon.errors import ConfigError, ServiceError

TOKEN = "status-token"  # noqa: S105 - the name of the credential
FIRST_PORT = 8765
OF_STORES = re.compile(r"\[(stores\.|\[schedules\])")  # the headers of what needs a store


def first_configuration(listen: str) -> str:
    """The example without stores and schedules, whose lines `dongbo connect` or a person takes the `#` from."""
    text = "\n".join(_without_stores(EXAMPLE_CONFIG.read_text("utf-8").split("\n")))
    text = re.sub(r"(?m)^listen = .*$", lambda _found: f'listen = "{listen}"', text)
    return re.sub(rf'(?m)^# (token = {{ credential = "{TOKEN}" }})  ', r"\1    ", text)


def _without_stores(lines: list[str]) -> Iterator[str]:
    is_of_stores = False
    for line in lines:
        is_of_stores = bool(OF_STORES.match(line)) or (is_of_stores and line != "")
        yield f"# {line}" if is_of_stores and not line.startswith("#") else line


def choose_listen(given: str | None, service: Service, root: Path) -> str:
    """Where a new service listens: as given, else at the first port that no other service of this machine has.

    Raises:
        ServiceError: what is given is no address.
    """
    if given is not None:
        try:
            parse_listen(given)
        except ValueError as error:
            raise ServiceError(f"--listen: {error}") from None
        return given
    addresses = {_address(other, root) for other in installed_services(root) if other != service}
    taken = {address.port for address in addresses if isinstance(address, TcpAddress)}
    return f"127.0.0.1:{next(port for port in range(FIRST_PORT, 65536) if port not in taken)}"


def _address(service: Service, root: Path) -> ListenAddress | None:
    try:
        return load_settings(below(root, service.config)).status.address
    except ConfigError:  # it does not run like this
        return None


def page_of(address: TcpAddress) -> str:
    """How a person on the machine reaches the page."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"http://{host}:{address.port}/"
