"""`dongbo install-service`: what it writes fits together, is valid at once, and leaves alone what is a person's."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli.client.target import find_target
from daemon.cli.connect.toml_edit import set_keys
from daemon.cli.installation.credential_files import drop_in_text, write_credential, write_drop_in
from daemon.cli.installation.places import Service, below, service_of
from daemon.cli.service.host import Deed, Host
from daemon.cli.service.install import UserKind, Wanted, install
from daemon.cli.service.program import own_program
from daemon.cli.service.uninstall import uninstall, what_is_kept
from daemon.config import inspect_secrets, load_settings
from daemon.errors import ServiceError

DONGBO = [sys.executable, "-c", "from daemon.cli import main; main()"]
MAIN, HANOI = Service(), Service("hanoi")


def put(root: Path, service: Service = MAIN, **wanted: object) -> tuple[Host, list[str]]:
    """Install a service below a folder."""
    host = Host(root)
    to_do = install(Wanted(service, own_program(), **wanted), host)  # type: ignore[arg-type]
    return host, to_do


def files(root: Path) -> dict[str, str]:
    """All files below a folder with what is in them; of links, where they lead."""
    return {
        f"/{path.relative_to(root)}": str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def credentials(service: Service, root: Path) -> dict[str, str]:
    """The variable by which the daemon would find its credentials."""
    return {"CREDENTIALS_DIRECTORY": str(below(root, service.credentials))}


@pytest.mark.parametrize("service", [MAIN, HANOI], ids=["the service", "an instance"])
def test_what_is_installed_fits_together(tmp_path: Path, service: Service) -> None:
    """The unit runs this program with a configuration that is valid and whose secrets are all there."""
    _, to_do = put(tmp_path, service)
    unit = below(tmp_path, service.unit).read_text()
    config = str(service.config).replace("hanoi", "%i")
    assert f"\nExecStart={own_program()} run --config {config}\n" in unit
    assert "/opt/dongbo" not in unit
    settings = load_settings(below(tmp_path, service.config))
    assert not settings.stores
    assert inspect_secrets(settings, credentials(service, tmp_path))[1] == ()
    token = below(tmp_path, service.credentials) / "status-token"
    assert len(token.read_text().strip()) >= 40
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(below(tmp_path, service.config).stat().st_mode) == 0o644  # the daemon's user reads it
    drop_in = below(tmp_path, service.drop_in("service", "credentials.conf")).read_text()
    assert drop_in.splitlines()[1:] == ["[Service]", f"LoadCredential=status-token:{service.credentials}/status-token"]
    assert (tmp_path / "usr/local/bin/dongbo").readlink() == own_program()
    completions = [text for path, text in files(tmp_path).items() if "share" in path]
    assert len(completions) == 3
    assert all("_DONGBO_COMPLETE=complete_" in text for text in completions)
    assert any("dongbo connect shopify" in line for line in to_do)
    assert any(f"systemctl start {service.name}`" in line for line in to_do)
    assert any(f"cat {service.credentials}/status-token" in line for line in to_do)
    assert token.read_text().strip() not in "".join(to_do)


def test_renewing_leaves_alone_what_is_a_persons(tmp_path: Path) -> None:
    """After an upgrade the unit is the new one; configuration, credentials, other drop-ins and programs stay."""
    put(tmp_path)
    own = {
        MAIN.config: "timezone = 'UTC'\n",
        MAIN.drop_in("service", "override.conf"): "[Service]\nCPUQuota=50%\n",
        Path("/usr/local/bin/dongbo"): "#!/bin/sh\n",
    }
    for path, text in own.items():
        below(tmp_path, path).unlink(missing_ok=True)
        below(tmp_path, path).write_text(text)
    below(tmp_path, MAIN.unit).write_text("# by `dongbo install-service` of an older version")
    before = files(tmp_path)
    host, _ = put(tmp_path)
    changed = {change.subject for change in host.changes if change.deed is not Deed.KEPT}
    assert changed == {str(MAIN.unit)}
    after = files(tmp_path)
    assert {path for path in after if after[path] != before.get(path)} == changed
    assert put(tmp_path)[0].changes == [type(change)(Deed.KEPT, change.subject) for change in host.changes]


def test_a_unit_that_was_installed_by_hand_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    """What somebody has added to it is not lost, and the answer says so, once."""
    unit = below(tmp_path, MAIN.unit)
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nLoadCredential=token:/srv/token\n")
    _, to_do = put(tmp_path)
    assert unit.with_name("dongbo.service.before").read_text().endswith("LoadCredential=token:/srv/token\n")
    assert "dongbo.service.before" in to_do[0]
    assert not any("dongbo.service.before" in line for line in put(tmp_path)[1])


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says the same as the real one, and does none of it."""
    said = subprocess.run(
        [*DONGBO, "install-service", "--dry-run", "--json", "--root", str(tmp_path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    would = json.loads(said.stdout)
    assert list(tmp_path.iterdir()) == []
    did = put(tmp_path)[0].changes
    assert would["dry_run"] is True
    assert would["changes"] == [{"deed": change.deed.value, "subject": change.subject} for change in did]


def test_credentials_follow_by_themselves(tmp_path: Path) -> None:
    """Whatever lies in the folder is handed over, each file in its form; an encrypted one counts first."""
    put(tmp_path)
    folder = below(tmp_path, MAIN.credentials)
    write_credential(folder / "main-nhanh-token", "secret", may_encrypt=False)
    (folder / "main-shopify-secret.cred").write_text("encrypted")
    (folder / "main-shopify-secret").write_text("older")
    (folder / ".main-nhanh-token.x7y").write_text("half")
    (folder / "main-nhanh-token~").write_text("an editor's copy")
    assert write_drop_in(MAIN, tmp_path)
    assert not write_drop_in(MAIN, tmp_path)
    assert drop_in_text(MAIN, tmp_path).splitlines()[2:] == [
        "LoadCredential=main-nhanh-token:/etc/dongbo/credentials/main-nhanh-token",
        "LoadCredentialEncrypted=main-shopify-secret:/etc/dongbo/credentials/main-shopify-secret.cred",
        "LoadCredential=status-token:/etc/dongbo/credentials/status-token",
    ]
    host, _ = put(tmp_path)  # which closes what a person has left open
    assert Deed.CLOSED in {change.deed for change in host.changes}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_secret_that_is_missing_is_left_to_do(tmp_path: Path) -> None:
    """The start would fail for it: the answer names the key and where the file belongs."""
    put(tmp_path)
    config = below(tmp_path, MAIN.config)
    keys = {"app_id": 7, "business_id": 8, "access_token": {"credential": "main-nhanh-token"}}
    config.write_text(set_keys(config.read_text(), ("stores", "main", "nhanh"), keys))
    _, to_do = put(tmp_path)
    assert any("stores.main.nhanh.access_token" in line and "/etc/dongbo/credentials" in line for line in to_do)
    config.write_text("nonsense = 1\n")
    _, to_do = put(tmp_path)
    assert "dongbo check" in to_do[0]


def test_connecting_takes_the_example_s_lines_out_of_their_comment(tmp_path: Path) -> None:
    """What a person fills in stands where the first configuration has it, with its explanations."""
    put(tmp_path)
    before = below(tmp_path, MAIN.config).read_text()
    keys = {"shop": "hanoi", "client_id": "abc", "client_secret": {"credential": "secret"}}
    after = set_keys(before, ("stores", "main", "shopify"), keys, without=("access_token",))
    assert len(after.splitlines()) == len(before.splitlines())
    lines = after.splitlines()
    at = lines.index("[stores.main.shopify]")
    assert lines[at + 1].startswith('shop = "hanoi" ')
    assert "# my-shop.myshopify.com" in lines[at + 1]
    assert lines[at + 4].startswith("# access_token = ")


@pytest.mark.parametrize(
    ("files_there", "needs_user"),
    [
        ({}, True),
        ({"etc/nsswitch.conf": "passwd: files systemd\n"}, True),
        ({"usr/lib/x86_64-linux-gnu/libnss_systemd.so.2": "", "etc/nsswitch.conf": "passwd: files\n"}, True),
        ({"usr/lib/x86_64-linux-gnu/libnss_systemd.so.2": "", "etc/nsswitch.conf": "passwd: files systemd\n"}, False),
        ({"usr/lib64/libnss_systemd.so.2": "", "etc/nsswitch.conf": "passwd: systemd files\n"}, False),
    ],
)
def test_a_user_is_made_where_dynamic_ones_have_no_names(
    tmp_path: Path, files_there: dict[str, str], needs_user: bool
) -> None:
    """initdb looks its user up: without libnss-systemd, or where nobody asks it, there must be one in the files."""
    for name, text in files_there.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    put(tmp_path, HANOI)
    made = tmp_path / "etc/sysusers.d/dongbo-hanoi.conf"
    assert made.exists() == needs_user
    if needs_user:
        assert made.read_text().splitlines()[1].startswith("u dongbo-hanoi - ")
        assert made.read_text().endswith(" /var/lib/dongbo-hanoi\n")


def test_a_user_can_be_asked_for(tmp_path: Path) -> None:
    """Or done without, where one exists already."""
    put(tmp_path, user=UserKind.DYNAMIC)
    assert not (tmp_path / "etc/sysusers.d").exists()
    put(tmp_path, user=UserKind.SYSUSERS)
    assert (tmp_path / "etc/sysusers.d/dongbo.conf").exists()


def test_the_socket_listens_where_the_configuration_says(tmp_path: Path) -> None:
    """Each service of a machine has a port of its own; a Unix socket is the daemon's own to open."""
    for service in (MAIN, HANOI, Service("hue")):
        put(tmp_path, service)
    listens = [
        below(tmp_path, service.drop_in("socket", "listen.conf")).read_text().splitlines()[-1]
        for service in (MAIN, HANOI, Service("hue"))
    ]
    assert listens == [f"ListenStream=127.0.0.1:{port}" for port in (8765, 8766, 8767)]
    put(tmp_path, Service("vinh"), listen="[::1]:9000")
    assert below(tmp_path, Service("vinh").drop_in("socket", "listen.conf")).read_text().endswith("=[::1]:9000\n")
    config = below(tmp_path, HANOI.config)
    tcp = config.read_text()
    config.write_text(tcp.replace('"127.0.0.1:8766"', '"unix:/run/dongbo-hanoi/status.sock"'))
    put(tmp_path, HANOI)
    mask = tmp_path / "etc/systemd/system/dongbo@hanoi.socket"
    assert mask.readlink() == Path(os.devnull)
    assert below(tmp_path, HANOI.socket_unit).is_file()  # others use the template
    config.write_text(tcp)
    put(tmp_path, HANOI)
    assert not mask.is_symlink()
    with pytest.raises(ServiceError, match="--listen"):
        put(tmp_path, Service("lao"), listen="nowhere")


def test_no_other_address_is_promised_than_the_configuration_s(tmp_path: Path) -> None:
    """A configuration that is there stays: asking for another address is refused, and changes nothing."""
    put(tmp_path, listen="127.0.0.1:9000")
    before = files(tmp_path)
    put(tmp_path, listen="127.0.0.1:9000")
    with pytest.raises(ServiceError, match=r"change \[status\] listen in /etc/dongbo/dongbo.toml"):
        put(tmp_path, listen="127.0.0.1:9001")
    assert files(tmp_path) == before


def test_uninstalling_keeps_what_can_not_be_made_again(tmp_path: Path) -> None:
    """Data, configuration and credentials stay; purging deletes them, and no other service's."""
    for service in (MAIN, HANOI):
        put(tmp_path, service)
        (below(tmp_path, service.state) / "postgres").mkdir(parents=True)
    kept = [below(tmp_path, path) for path in what_is_kept(HANOI, Host(tmp_path))]
    uninstall(HANOI, Host(tmp_path), purges=False)
    assert all(path.exists() for path in kept)
    left = set(files(tmp_path))
    assert not {path for path in left if "system/" in path and "@" in path}
    assert "/usr/local/bin/dongbo" in left
    uninstall(HANOI, Host(tmp_path), purges=True)
    assert not [path for path in kept if path.exists()]
    assert (below(tmp_path, MAIN.state) / "postgres").exists()
    uninstall(MAIN, Host(tmp_path), purges=True)
    assert files(tmp_path) == {}


def test_purging_one_service_leaves_the_folders_of_instances(tmp_path: Path) -> None:
    """The main one's configuration lies above theirs."""
    put(tmp_path)
    put(tmp_path, HANOI)
    uninstall(MAIN, Host(tmp_path), purges=True)
    assert below(tmp_path, HANOI.config).exists()
    assert not below(tmp_path, MAIN.config).exists()
    assert not below(tmp_path, MAIN.credentials).exists()
    assert service_of(HANOI.config, tmp_path) == HANOI
    assert service_of(MAIN.config, tmp_path) is None


def test_nothing_is_purged_without_consent(tmp_path: Path) -> None:
    """A program that runs this by mistake deletes nothing."""
    put(tmp_path)
    before = files(tmp_path)
    ended = subprocess.run(
        [*DONGBO, "uninstall-service", "--purge", "--root", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "--yes" in ended.stderr
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["Hanoi", "a-b", "../x", "x" * 21, "", "credentials"])
def test_an_instance_has_a_plain_name(tmp_path: Path, name: str) -> None:
    """It becomes a part of paths, of a unit and of a user's name."""
    ended = subprocess.run(
        [*DONGBO, "install-service", "--instance", name, "--root", str(tmp_path)], capture_output=True, check=False
    )
    assert ended.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_commands_find_what_the_service_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token with which it runs, before one that a restart would bring; both are root's to read."""
    put(tmp_path)
    monkeypatch.setattr("daemon.cli.installation.places.service_of", lambda _config: Placed(tmp_path))
    config = below(tmp_path, MAIN.config)
    waiting = (below(tmp_path, MAIN.credentials) / "status-token").read_text().strip()
    assert token_of(config) == waiting
    running = tmp_path / "run" / "status-token"
    running.parent.mkdir()
    running.write_text("the one that it was started with")
    assert token_of(config) == running.read_text()


def token_of(config: Path) -> str:
    """The token that a command shows to the daemon of this configuration."""
    token = find_target(config, None, {}).token
    assert token is not None
    return token.get_secret_value()


class Placed(Service):
    """A service whose files lie below a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        object.__setattr__(self, "_root", root)

    _root: Path

    @property
    def credentials(self) -> Path:
        return below(self._root, super().credentials)

    @property
    def handed_over(self) -> Path:
        return self._root / "run"
