"""`dongbo connect`: nothing is stored that was not seen to work, and what is stored works."""

import json
import os
import pty
import re
import select
import socket
import stat
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from daemon.config import load_settings, resolve_secrets
from daemon.sandbox.server import Sandbox, SandboxSettings
from tests.support.commanded_shop import sandbox_in_a_thread

DONGBO = [sys.executable, "-c", "from daemon.cli import main; main()"]
EXAMPLE = Path(__file__).parents[3] / "config" / "dongbo.toml"
LINK = "https://shop.example.com/nhanh"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The commands are processes."""
    with sandbox_in_a_thread(SandboxSettings(products=5, customers=5, limits=False)) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, sandbox: Sandbox) -> Path:
    """The example of the repository, at the sandbox, as a person begins with it."""
    text = EXAMPLE.read_text("utf-8")
    text = text.replace('# base_url = "https://pos.open.nhanh.vn"', f'base_url = "{sandbox.nhanh_url}"')
    text = text.replace('# base_url = "https://my-shop.myshopify.com"', f'base_url = "{sandbox.shopify_url}"')
    path = tmp_path / "dongbo.toml"
    path.write_text(text, "utf-8")
    return path


def dongbo(*arguments: str, secret: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command without a terminal; `secret` comes by standard input."""
    return subprocess.run(
        [*DONGBO, *arguments],
        input=secret or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def connect_shopify(config: Path, sandbox: Sandbox, *more: str, **changes: str) -> subprocess.CompletedProcess[str]:
    app = sandbox.shopify.app
    said = {"shop": "dongbo-sandbox", "client_id": app.client_id, "secret": app.client_secret} | changes
    return dongbo(
        *("connect", "shopify", "--config", str(config), "--shop", said["shop"], "--client-id", said["client_id"]),
        *("--secret-file", "-", "--yes", "--json", *more),
        secret=said["secret"],
    )


def connect_nhanh(
    config: Path, sandbox: Sandbox, *more: str, code: str | None = None, secret: str | None = None
) -> Any:
    nhanh = sandbox.nhanh
    return dongbo(
        *("connect", "nhanh", "--config", str(config), "--app-id", str(nhanh.app_id), "--secret-file", "-", "--yes"),
        *("--json", "--code", code or nhanh.new_code(), *more),
        secret=secret or nhanh.secret_key,
    )


def check_nothing_happened(config: Path, before: str) -> None:
    """Neither the file nor a secret was written."""
    assert config.read_text("utf-8") == before
    directory = config.parent / "secrets"
    assert not directory.exists() or list(directory.iterdir()) == []


def test_a_new_shop_is_connected_and_can_be_checked(config: Path, sandbox: Sandbox) -> None:
    """From the example to a configuration whose credentials all work, with its comments as they were."""
    before = config.read_text("utf-8")
    made = connect_shopify(config, sandbox)
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert report["shop"] == {
        "name": "Cửa hàng thử nghiệm",
        "domain": "dongbo-sandbox.myshopify.com",
        "currency": "VND",
        "plan": "Basic",
    }
    assert report["missing_scopes"] == []
    assert len(report["locations"]) == 3
    made = connect_nhanh(config, sandbox)
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert report["business_id"] == sandbox.nhanh.business_id
    assert [depot["id"] for depot in report["depots"]] == [depot.id for depot in sandbox.catalogue.depots]
    assert all(job["can_run"] for job in report["jobs"].values())
    settings = load_settings(config)
    secrets = resolve_secrets(settings, {}).stores[next(iter(settings.stores))]
    assert secrets.nhanh_access_token is not None
    assert secrets.nhanh_access_token.get_secret_value() == sandbox.nhanh.token
    for file in (config.parent / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    comments = [line for line in before.splitlines() if line.startswith("#")]
    assert [line for line in config.read_text("utf-8").splitlines() if line.startswith("#")] == comments
    checked = dongbo("check", "--live", "--json", "--config", str(config), STATE_DIRECTORY=str(config.parent))
    levels = {finding["subject"]: finding["level"] for finding in json.loads(checked.stdout)["live"]}
    assert {level for subject, level in levels.items() if subject.startswith("main ")} == {"ok"}, checked.stdout


def test_a_file_that_is_not_there_is_made(tmp_path: Path, sandbox: Sandbox) -> None:
    """A shop may begin with this very command; the address of the sandbox is the only thing that is added here."""
    config = tmp_path / "new.toml"
    config.write_text(f'[stores.main.shopify]\nbase_url = "{sandbox.shopify_url}"\n')
    assert connect_shopify(config, sandbox).returncode == 0
    shopify = tomllib.loads(config.read_text("utf-8"))["stores"]["main"]["shopify"]
    assert shopify["client_id"] == sandbox.shopify.app.client_id
    assert set(shopify) == {"shop", "client_id", "client_secret", "base_url"}
    missing = tmp_path / "missing.toml"
    made = dongbo("connect", "shopify", "--config", str(missing), "--shop", "x", "--client-id", "y" * 32, "--yes")
    assert made.returncode == 78
    assert "use --secret-file" in made.stderr
    assert not missing.exists()


def test_an_old_access_token_gives_way(tmp_path: Path, sandbox: Sandbox) -> None:
    """The two ways exclude each other; what stands around stays, and the new keys come where the shop is."""
    config = tmp_path / "dongbo.toml"
    config.write_text(
        f"""# ours
[stores.main.shopify]
shop = "x"  # the shop
access_token = {{ env = "SHOPIFY_TOKEN" }}
base_url = "{sandbox.shopify_url}"

# What follows belongs to the next table.
# [stores.main.customer_sync]
"""
    )
    assert connect_shopify(config, sandbox).returncode == 0
    secret = config.parent / "secrets" / "main-shopify-client-secret"
    assert config.read_text("utf-8") == (
        f"""# ours
[stores.main.shopify]
shop = "dongbo-sandbox"  # the shop
client_id = "{sandbox.shopify.app.client_id}"
client_secret = {{ file = "{secret}" }}
# access_token = {{ env = "SHOPIFY_TOKEN" }}
base_url = "{sandbox.shopify_url}"

# What follows belongs to the next table.
# [stores.main.customer_sync]
"""
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"secret": "shpss_wrong"}, "does not recognize this client id and secret"),
        ({"secret": "shpat_token"}, "this is an access token, not a client secret"),
        ({"client_id": "shpss_" + "a" * 32}, "this is a client secret, not a client id"),
        ({"client_id": "two words"}, "is not a client id"),
        ({"shop": "https://shop.example.com"}, "is not a shop"),
        ({"shop": "shpat_" + "0" * 32}, "this is an access token, not a shop"),
        ({"secret": "a\nb"}, "one line with the secret"),
        ({"secret": ""}, "one line with the secret"),
    ],
)
def test_what_does_not_work_is_not_stored(config: Path, sandbox: Sandbox, changes: dict[str, str], says: str) -> None:
    """A sentence, exit code 78 or 1, and everything as it was; the secret shows nowhere."""
    before = config.read_text("utf-8")
    made = connect_shopify(config, sandbox, **changes)
    assert made.returncode in (1, 78)
    assert says in made.stderr
    assert "Traceback" not in made.stderr
    for value in changes.values():
        assert not value.startswith("shp") or value not in made.stdout + made.stderr
    check_nothing_happened(config, before)


def test_missing_scopes_are_named_in_the_form_of_the_dev_dashboard(config: Path, sandbox: Sandbox) -> None:
    """The secret works, so it is kept; what is missing is said, and what to paste."""
    sandbox.shopify.app.scopes = frozenset({"read_products"})
    made = connect_shopify(config, sandbox)
    assert made.returncode == 0
    assert json.loads(made.stdout)["missing_scopes"] == ["read_inventory", "read_customers"]
    assert "read_customers,read_inventory,read_products" in made.stderr


@pytest.mark.parametrize("pasted", ["{code}", LINK + "?accessCode={code}", LINK + "?x=1&accessCode={code}&y=2#z"])
def test_the_code_is_found_in_whatever_was_pasted(config: Path, sandbox: Sandbox, pasted: str) -> None:
    """The address, with whatever else is in it, or the code alone."""
    code = sandbox.nhanh.new_code()
    assert connect_nhanh(config, sandbox, code=pasted.format(code=quote(code))).returncode == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (LINK, "there is no accessCode in this address"),
        (f"{LINK}?accessCode=", "the access code in this address is empty"),
        ("two words", "neither an address nor an access code"),
        ("never-given-out", "A code works once, within ten minutes"),
    ],
)
def test_a_code_that_is_none_is_a_sentence(config: Path, sandbox: Sandbox, code: str, says: str) -> None:
    """Nothing is stored, and the token that is in use goes on."""
    before, token = config.read_text("utf-8"), sandbox.nhanh.token
    made = connect_nhanh(config, sandbox, code=code)
    assert made.returncode in (1, 78)
    assert says in " ".join(made.stderr.split())
    assert sandbox.nhanh.token == token
    check_nothing_happened(config, before)


def test_a_code_works_once_and_for_ten_minutes(config: Path, sandbox: Sandbox) -> None:
    """The second use and a late one are refused; a wrong secret key likewise."""
    code = sandbox.nhanh.new_code()
    assert connect_nhanh(config, sandbox, code=code).returncode == 0
    assert "A code works once" in " ".join(connect_nhanh(config, sandbox, code=code).stderr.split())
    late = sandbox.nhanh.new_code()
    sandbox.nhanh.codes[late] -= 601
    assert connect_nhanh(config, sandbox, code=late).returncode == 1
    assert connect_nhanh(config, sandbox, secret="another-key").returncode == 1


def test_another_business_s_token_is_not_stored(config: Path, sandbox: Sandbox) -> None:
    """Somebody logged in to the wrong business."""
    text = (
        config.read_text("utf-8")
        .replace("app_id = 1 ", "app_id = 73001 ")
        .replace("business_id = 2", "business_id = 7")
    )
    config.write_text(text, "utf-8")
    made = connect_nhanh(config, sandbox)
    assert made.returncode == 78
    assert f"for business {sandbox.nhanh.business_id}, but the configuration says 7" in " ".join(made.stderr.split())
    check_nothing_happened(config, text)


def test_a_place_that_can_not_be_written_is_found_before_the_code_is_used(config: Path, sandbox: Sandbox) -> None:
    """Else the new token would be lost, and with it the old one in fifteen minutes."""
    (config.parent / "a-file").write_text("")
    token = sandbox.nhanh.token
    made = connect_nhanh(config, sandbox, "--keep-in", f"file:{config.parent}/a-file/token")
    assert made.returncode == 78
    assert "nothing can be written there" in " ".join(made.stderr.split())
    assert sandbox.nhanh.token == token


def test_a_credential_of_systemd_is_kept_with_what_is_left_to_do(config: Path, sandbox: Sandbox) -> None:
    """Encrypted where systemd can, else readable for root alone; a file that the unit names already stays one."""
    made = connect_shopify(config, sandbox, "--keep-in", "credential:shopify-secret")
    assert made.returncode == 0, made.stderr
    (kept,) = (config.parent / "credentials").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    report = json.loads(made.stdout)
    assert re.search(r"LoadCredential(Encrypted)?=shopify-secret:/", report["to_do"][0])
    assert (sandbox.shopify.app.client_secret in kept.read_text()) == (kept.suffix != ".cred")
    assert connect_shopify(config, sandbox).returncode == 0
    assert list((config.parent / "credentials").iterdir()) == [kept]
    assert (sandbox.shopify.app.client_secret in kept.read_text()) == (kept.suffix != ".cred")
    kept.unlink()
    plain = config.parent / "credentials" / "shopify-secret"
    plain.write_text("old")
    plain.chmod(0o640)
    assert connect_shopify(config, sandbox).returncode == 0
    assert plain.read_text() == f"{sandbox.shopify.app.client_secret}\n"
    assert stat.S_IMODE(plain.stat().st_mode) == 0o640  # the daemon's group reads it


def test_an_environment_is_not_this_command_s_to_set(config: Path, sandbox: Sandbox) -> None:
    """The lines are written, the secret is not shown, and what to do is said."""
    made = connect_shopify(config, sandbox, "--keep-in", "env:SHOP_SECRET")
    assert made.returncode == 0
    report = json.loads(made.stdout)
    assert report["stored"] == [None]
    assert "set SHOP_SECRET in the daemon's environment" in report["to_do"][0]
    assert sandbox.shopify.app.client_secret not in made.stdout + made.stderr
    assert 'client_secret = { env = "SHOP_SECRET" }' in config.read_text("utf-8")
    assert connect_shopify(config, sandbox, "--keep-in", "clipboard").returncode == 78


def test_a_file_in_another_form_gets_its_lines_shown(tmp_path: Path, sandbox: Sandbox) -> None:
    """A store in one line is nobody's to rewrite but the person's who wrote it."""
    config = tmp_path / "dongbo.toml"
    text = f'stores = {{ main = {{ shopify = {{ shop = "x", base_url = "{sandbox.shopify_url}" }} }} }}\n'
    config.write_text(text)
    made = connect_shopify(config, sandbox)
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    if report["configuration_written"]:
        load_settings(config)
    else:
        assert config.read_text() == text
        assert "client_secret = {" in report["to_do"][0]


def test_the_callback_takes_the_code_from_the_browser(config: Path, sandbox: Sandbox) -> None:
    """With --listen the command waits for the redirect itself; a visit without a code does not end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ("connect", "nhanh", "--config", str(config), "--app-id", str(sandbox.nhanh.app_id))
    with subprocess.Popen(
        [*DONGBO, *command, "--secret-file", "-", "--listen", address, "--yes", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(sandbox.nhanh.secret_key)
        process.stdin.close()
        login = None
        for line in process.stderr:
            if line.startswith(sandbox.nhanh_url):
                login = line.strip()
            if line.startswith("Waiting"):
                break
        assert login is not None
        with urllib.request.urlopen(login) as page:
            assert "Đồng ý" in page.read().decode()
        with pytest.raises(HTTPError):
            urllib.request.urlopen(f"http://{address}/favicon.ico")
        with urllib.request.urlopen(login, data=b"") as page:
            assert "back to the terminal" in page.read().decode()
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["business_id"] == sandbox.nhanh.business_id
        assert process.wait(20) == 0


class Terminal:
    """A command at a terminal of 80 columns, and what is on it."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ.update(COLUMNS="80", LINES="50", TERM="xterm")
            os.execv(DONGBO[0], [*DONGBO, *arguments])
        self.shown = ""
        self._looked_at = 0

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Wait until this is shown, below what was waited for before."""
        give_up = time.monotonic() + seconds
        while text not in self.shown[self._looked_at :]:
            readable, _, _ = select.select([self._file], [], [], max(0.0, give_up - time.monotonic()))
            assert readable, f"no {text!r} in:\n{self.shown}"
            try:
                self.shown += os.read(self._file, 65536).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"ended before {text!r}:\n{self.shown}") from None
        self._looked_at = self.shown.index(text, self._looked_at) + len(text)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._file, f"{text}\n".encode())

    def ended(self) -> int:
        """The exit code."""
        while True:
            try:
                read = os.read(self._file, 65536)
            except OSError:
                read = b""
            if not read:
                break
            self.shown += read.decode("utf-8", "replace")
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_person_at_a_terminal_is_led_through(config: Path, sandbox: Sandbox) -> None:
    """Wrong answers are explained and asked for again; secrets are not echoed; Ctrl-C ends it at any question."""
    app = sandbox.shopify.app
    terminal = Terminal("connect", "shopify", "--config", str(config))
    terminal.until("Scopes, to paste")
    terminal.until("Shop:")
    terminal.type("https://admin.shopify.com/store/dongbo-sandbox/settings")
    terminal.until("Client ID:")
    terminal.type(app.client_id)
    terminal.until("not shown")
    terminal.type("shpss_a-wrong-one")
    terminal.until("Nothing was stored. Try again")
    terminal.until("Shop [dongbo-sandbox]:")
    terminal.type("")
    terminal.until(f"Client ID [{app.client_id}]:")
    terminal.type("")
    terminal.until("not shown")
    terminal.type(app.client_secret)
    terminal.until("It works")
    terminal.until("(y/n)")
    terminal.type("y")
    assert terminal.ended() == 0
    assert app.client_secret not in terminal.shown
    assert "shpss_a-wrong-one" not in terminal.shown
    assert load_settings(config).stores["main"].shopify is not None  # type: ignore[index]

    terminal = Terminal("connect", "shopify", "--config", str(config))
    terminal.until("Shop")
    os.write(terminal._file, b"\x03")
    assert terminal.ended() == 130


def test_a_person_is_led_to_a_token_of_nhanh(config: Path, sandbox: Sandbox) -> None:
    """The address to open, as a QR code, too; an address without a code is asked for again; the key is hidden."""
    nhanh = sandbox.nhanh
    terminal = Terminal("connect", "nhanh", "--config", str(config))
    terminal.until("App ID:")
    terminal.type(str(nhanh.app_id))
    terminal.until("not shown")
    terminal.type(nhanh.secret_key)
    terminal.until("(y/n)")
    terminal.type("y")
    terminal.until("Redirect URLs:")
    terminal.type(LINK)
    terminal.until("oauth?appId=73001")
    terminal.until("\u2588")  # a block of the QR code
    terminal.until("Address:")
    terminal.type(LINK)
    terminal.until("there is no accessCode in this address")
    terminal.until("Address:")
    terminal.type(f"{LINK}?accessCode={nhanh.new_code()}")
    terminal.until("It works: business 110668")
    assert terminal.ended() == 0
    assert nhanh.secret_key not in terminal.shown
    assert nhanh.token not in terminal.shown


def test_a_token_that_could_not_be_kept_is_not_asked_for(config: Path, sandbox: Sandbox) -> None:
    """It would be lost, and the one in use ends fifteen minutes later; and so with keys that would not be right."""
    token = sandbox.nhanh.token
    made = connect_nhanh(config, sandbox, "--keep-in", "env:NHANH_TOKEN")
    assert made.returncode == 78
    assert "would be lost" in " ".join(made.stderr.split())
    config.write_text(config.read_text("utf-8").replace("business_id = 2", "business_id = 2\ncolour = 1"), "utf-8")
    made = connect_nhanh(config, sandbox)
    assert made.returncode == 78
    assert "colour: unknown key" in made.stderr
    assert sandbox.nhanh.token == token


def test_a_trouble_that_may_pass_does_not_cost_the_new_token(config: Path, sandbox: Sandbox) -> None:
    """The code is used up by then: what can't be tried now is tried by the daemon."""
    for path in ("product/list", "product/inventory", "customer/list", "business/depot"):
        sandbox.faults.next("error_500", path=path, times=2)
    made = connect_nhanh(config, sandbox)
    assert made.returncode == 0, made.stderr
    assert (config.parent / "secrets" / "main-nhanh-token").read_text().strip() == sandbox.nhanh.token


def test_tables_of_the_other_source_may_be_yet_to_come(tmp_path: Path, sandbox: Sandbox) -> None:
    """One of the two is connected first; and what is wrong with another store is not looked at."""
    config = tmp_path / "dongbo.toml"
    config.write_bytes(
        f'''\ufeff[stores.main.nhanh]\r
base_url = "{sandbox.nhanh_url}"\r
# Nightly, because of the bank.\r
[[schedules]]\r
name = "x"\r
[stores.main.shopify]\r
base_url = "{sandbox.shopify_url}"\r
[stores.main2.shopify]\r
shop = "y"\r
'''.encode()
    )
    before = config.read_bytes()
    assert connect_shopify(config, sandbox, "--store", "main").returncode == 0
    assert connect_nhanh(config, sandbox, "--store", "main").returncode == 0
    after = config.read_bytes()
    kept = [line for line in after.split(b"\n") if line in before.split(b"\n")]
    assert kept == before.split(b"\n")  # every line as it was, in its order, with its end and the mark
    assert b'client_id = "' in after
    assert b"access_token = {" in after
    assert connect_shopify(config, sandbox, "--store", "bad name!").returncode == 78


def test_no_secret_is_sent_to_an_address_that_is_refused(config: Path, sandbox: Sandbox) -> None:
    """Such as one that would carry it in clear."""
    text = config.read_text("utf-8").replace(sandbox.shopify_url, "http://shop.example.com")
    config.write_text(text, "utf-8")
    made = connect_shopify(config, sandbox)
    assert made.returncode == 78
    assert "must begin with https://" in made.stderr
