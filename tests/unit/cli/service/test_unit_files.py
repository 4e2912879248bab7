"""The units as a machine gets them."""

from pathlib import Path

import pytest

from daemon.cli.installation.places import Service
from daemon.cli.service.unit_files import service_unit

PROGRAM = Path("/srv/shop/bin/dongbo")


@pytest.mark.parametrize("service", [Service(), Service("north")])
def test_every_command_is_the_installed_program(service: Service) -> None:
    """No path of the shipped unit is left, wherever the program lies."""
    lines = service_unit(service, PROGRAM, systemd_version=252).splitlines()
    commands = [line.partition("=")[2].split()[0] for line in lines if line.startswith("Exec")]
    assert commands == [str(PROGRAM)] * 2


def test_only_what_systemd_knows_is_said() -> None:
    """An older one would log a warning for each setting that it does not know, at every look at its units."""
    texts = {version: service_unit(Service(), PROGRAM, systemd_version=version) for version in (252, 254, 260)}
    assert ["RestartSteps=" in text for text in texts.values()] == [False, True, True]
    assert ["RefreshOnReload=credentials\n" in text for text in texts.values()] == [False, False, True]
