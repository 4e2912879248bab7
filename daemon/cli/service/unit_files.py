"""The units as they come with the program, made for a machine: the program's path, what its systemd knows, users.

`units` is a link to the folder `systemd` of the repository, whose files are package data.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from daemon.cli.installation.places import Service
from daemon.config import TcpAddress

LISTEN_DROP_IN = "listen.conf"
SHIPPED = Path(__file__).with_name("units")
# What older versions of systemd would warn about, by the version that knows it.
SINCE = {
    254: "# What fails again and again is tried less and less often.\nRestartSteps=8\nRestartMaxDelaySec=300\n",
    260: "# A reload brings renewed credentials.\nRefreshOnReload=credentials\n",
}
SYSTEM_LIBRARIES = ("usr/lib*/libnss_systemd.so.2", "usr/lib*/*/libnss_systemd.so.2")


def service_unit(service: Service, program: Path, *, systemd_version: int) -> str:
    """The unit of a service, or the template of an instance, for this path of `dongbo`."""
    text = (SHIPPED / f"{service.kind}.service").read_text("utf-8")
    text = re.sub(r"(?m)^(ExecStart|ExecReload)=\S+", lambda found: f"{found[1]}={program}", text)
    known = "".join(lines for since, lines in SINCE.items() if systemd_version >= since)
    return re.sub(r"(?m)^RestartSec=.*\n", lambda found: f"{found[0]}{known}", text)


def socket_unit(service: Service) -> str:
    """The unit of its socket, or the template's."""
    return (SHIPPED / f"{service.kind}.socket").read_text("utf-8")


def listening_on(address: TcpAddress) -> str:
    """What makes a socket listen where the configuration says."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return (
        "# Kept by `dongbo install-service`: [status] listen of the configuration.\n"
        f"[Socket]\nListenStream=\nListenStream={host}:{address.port}\n"
    )


def sysusers(service: Service) -> str:
    """What makes the user of a service (sysusers.d(5))."""
    text = (SHIPPED / "sysusers.conf").read_text("utf-8")
    return re.sub(r"/dongbo\b|\bu dongbo\b", lambda found: found[0].replace("dongbo", service.user), text)


def dynamic_users_have_names(root: Path) -> bool:
    """Whether libnss-systemd is there and asked: it knows the names of dynamic users (nss-systemd(8))."""
    return any(any(root.glob(pattern)) for pattern in SYSTEM_LIBRARIES) and "systemd" in _asked_for_users(root)


def _asked_for_users(root: Path) -> Iterable[str]:
    try:
        lines = (root / "etc/nsswitch.conf").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return next((line.partition(":")[2].split() for line in lines if line.startswith("passwd:")), ())
