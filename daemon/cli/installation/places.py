"""The files of an installed service: `dongbo.service`, or an instance of the template `dongbo@.service`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")
CONFIGURATIONS = Path("/etc/dongbo")
HANDED_OVER = Path("/run/credentials")  # where systemd keeps the credentials of what runs (systemd.exec(5))
CONFIG_NAME = "dongbo.toml"
# A part of the name of a user, which has at most 31 characters; `credentials` beside a configuration holds those of
# `dongbo.service`.
INSTANCE_PATTERN = r"(?!credentials$)[a-z][a-z0-9]{0,19}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service; `instance` is None for `dongbo.service`. Paths are those of the machine that it runs on."""

    instance: str | None = None

    @property
    def name(self) -> str:
        """As systemctl takes it."""
        return "dongbo" if self.instance is None else f"dongbo@{self.instance}"

    @property
    def kind(self) -> str:
        """The name of its units' files: `dongbo`, or the template's."""
        return "dongbo" if self.instance is None else "dongbo@"

    @property
    def user(self) -> str:
        """Its user, where it is not a dynamic one; its state directory has the same name."""
        return "dongbo" if self.instance is None else f"dongbo-{self.instance}"

    @property
    def config(self) -> Path:
        """Its configuration."""
        return Path(CONFIGURATIONS, self.instance or "", CONFIG_NAME)

    @property
    def credentials(self) -> Path:
        """The folder of its credentials, a file each."""
        return self.config.parent / "credentials"

    @property
    def handed_over(self) -> Path:
        """Its credentials while it runs, as it was given them."""
        return HANDED_OVER / f"{self.name}.service"

    @property
    def state(self) -> Path:
        """Its state directory."""
        return Path("/var/lib") / self.user

    @property
    def runtime(self) -> Path:
        """Its runtime directory, which is there while it runs."""
        return Path("/run") / self.user

    @property
    def unit(self) -> Path:
        """The file of its unit, or of the template."""
        return UNITS / f"{self.kind}.service"

    @property
    def socket_unit(self) -> Path:
        """The file of its socket's unit, or of the template."""
        return UNITS / f"{self.kind}.socket"

    def drop_in(self, of: str, name: str) -> Path:
        """A file that adds to its unit. `of` is `service` or `socket`."""
        return UNITS / f"{self.name}.{of}.d" / name


def installed_services(root: Path = Path("/")) -> Iterator[Service]:
    """All services that have a configuration and a unit on this machine, or on the one whose files are below `root`."""
    for path in (CONFIGURATIONS / CONFIG_NAME, *_configurations_of_instances(root)):
        if (service := service_of(path, root)) is not None and below(root, path).exists():
            yield service


def service_of(config: Path, root: Path = Path("/")) -> Service | None:
    """The installed service that reads this configuration; None where it is nobody's."""
    match config.absolute().parts:
        case ("/", "etc", "dongbo", name) if name == CONFIG_NAME:
            service = Service()
        case ("/", "etc", "dongbo", instance, name) if name == CONFIG_NAME and re.fullmatch(INSTANCE_PATTERN, instance):
            service = Service(instance)
        case _:
            return None
    return service if below(root, service.unit).exists() else None


def service_environment(
    config: Path | None, environ: Mapping[str, str] = os.environ, *, as_started: bool = False
) -> Mapping[str, str]:
    """The variables as systemd sets them for the service of a configuration: where its credentials and its state are.

    A person's command finds them so where the person may read them. Variables that are set already stay as they are.

    Args:
        config: the configuration file, if any.
        environ: the command's own variables.
        as_started: prefer the credentials with which the service runs to those that it would be started with.
    """
    service = service_of(config) if config is not None else None
    if service is None:
        return environ
    places = [service.handed_over, service.credentials]
    ordered = places if as_started else reversed(places)
    directory = next((place for place in ordered if os.access(place, os.R_OK | os.X_OK)), service.credentials)
    return {"CREDENTIALS_DIRECTORY": str(directory), "STATE_DIRECTORY": str(service.state), **environ}


def below(root: Path, path: Path) -> Path:
    """An absolute path as it is reached where the root of that machine is `root`."""
    return root / path.relative_to("/")


def _configurations_of_instances(root: Path) -> Iterator[Path]:
    folder = below(root, CONFIGURATIONS)
    for found in sorted(folder.glob(f"*/{CONFIG_NAME}")):
        yield CONFIGURATIONS / found.relative_to(folder)
