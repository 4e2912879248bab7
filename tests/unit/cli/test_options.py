"""Where the configuration is looked for, and where the daemon it describes is talked to."""

from pathlib import Path

import pytest

from daemon.cli import options
from daemon.cli.client.target import find_target
from daemon.cli.options import find_config
from daemon.errors import ConfigError


def write(path: Path, listen: str = "127.0.0.1:8765", more: str = "") -> Path:
    path.write_text(f'[status]\nlisten = "{listen}"\n{more}')
    return path


def test_the_option_comes_before_the_environment(tmp_path: Path) -> None:
    """A file that is named is taken, whatever else there is."""
    environ = {"DONGBO_CONFIG": "/elsewhere.toml"}
    assert find_config(tmp_path / "a.toml", environ) == tmp_path / "a.toml"
    assert find_config(None, environ) == Path("/elsewhere.toml")


def test_the_usual_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./config/dongbo.toml comes before the system's."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    monkeypatch.setattr(options, "DEFAULT_CONFIGS", (first, second))
    second.touch()
    assert find_config(None, {}) == second
    first.touch()
    assert find_config(None, {}) == first


def test_no_configuration_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the places, the option, and the way without a configuration."""
    monkeypatch.setattr(options, "DEFAULT_CONFIGS", (tmp_path / "none.toml",))
    with pytest.raises(ConfigError, match=r"none\.toml.*--config.*dongbo demo"):
        find_config(None, {})


@pytest.mark.parametrize(
    ("listen", "base_url", "socket"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765", None),
        ("[::1]:8765", "http://[::1]:8765", None),
        ("unix:/run/dongbo/s.sock", "http://localhost", "/run/dongbo/s.sock"),
    ],
)
def test_the_daemon_is_where_the_configuration_says(
    tmp_path: Path, listen: str, base_url: str, socket: str | None
) -> None:
    """TCP, IPv6 and Unix sockets."""
    target = find_target(write(tmp_path / "a.toml", listen), None, {})
    assert (target.base_url, target.socket, target.token) == (base_url, socket, None)


def test_a_daemon_that_listens_everywhere_is_talked_to_on_this_machine(tmp_path: Path) -> None:
    """0.0.0.0 is no address to connect to."""
    path = write(tmp_path / "a.toml", "0.0.0.0:8765", 'token = { env = "T" }')
    target = find_target(path, None, {"T": "a-token-of-some-length"})
    assert target.base_url == "http://127.0.0.1:8765"
    assert target.token is not None
    assert target.token.get_secret_value() == "a-token-of-some-length"
    assert "a-token" not in repr(target)


def test_a_url_overrides_the_configured_address(tmp_path: Path) -> None:
    """--url wins; the scheme may be left out, and a Unix socket may be named."""
    path = write(tmp_path / "a.toml")
    assert find_target(path, "127.0.0.1:9999/", {}).base_url == "http://127.0.0.1:9999"
    assert find_target(path, "unix:/x.sock", {}).socket == "/x.sock"


def test_a_url_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --url no configuration is needed, and $DONGBO_TOKEN brings the token."""
    monkeypatch.setattr(options, "DEFAULT_CONFIGS", ())
    target = find_target(None, "http://127.0.0.1:1", {"DONGBO_TOKEN": "secret-secret-secret"})
    assert target.settings is None
    assert target.token is not None


def test_the_stores_secrets_need_not_be_readable(tmp_path: Path) -> None:
    """A person who only looks at jobs needs the status token, not those of the shops."""
    more = '[stores.a.nhanh]\napp_id = 1\nbusiness_id = 2\naccess_token = { env = "NOT_SET_ANYWHERE" }\n'
    assert find_target(write(tmp_path / "a.toml", more=more), None, {}).token is None


def test_a_token_that_cannot_be_read_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """A systemd credential is not there for a person; the message names $DONGBO_TOKEN."""
    path = write(tmp_path / "a.toml", more='token = { credential = "status-token" }')
    with pytest.raises(ConfigError, match=r"status\.token.*DONGBO_TOKEN"):
        find_target(path, None, {})


def test_a_port_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    """Port 0 means any: only --url can say which it became."""
    with pytest.raises(ConfigError, match="--url"):
        find_target(write(tmp_path / "a.toml", "127.0.0.1:0"), None, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[status\n", "not valid TOML"),
        (b"timezone = 'Mars/Olympus'\nlisten = 1\n", "(and 1 more: dongbo check --config "),
        (b"\xff\xfe", "not UTF-8"),
        (None, "there is no such file"),
        (b"[status]\ntoken = { credential = 'status-token' }\n", "status.token: credential"),
    ],
)
@pytest.mark.parametrize("named_by", ["option", "environment", "usual place"])
def test_a_broken_configuration_does_not_stop_a_command_that_has_a_url(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
    named_by: str,
) -> None:
    """However it is found and whatever is wrong with it: it is skipped, and one line says so and why."""
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(options, "DEFAULT_CONFIGS", (path,) if named_by == "usual place" else ())
    environ = {"DONGBO_CONFIG": str(path)} if named_by == "environment" else {}
    target = find_target(path if named_by == "option" else None, "127.0.0.1:9999", environ)
    assert (target.base_url, target.token, target.settings, target.config) == (
        "http://127.0.0.1:9999",
        None,
        None,
        None,
    )
    assert str(target.zone) == "Asia/Ho_Chi_Minh"
    lines = capsys.readouterr().err.splitlines()
    if content is None and named_by == "usual place":
        assert lines == []  # there just is none
        assert "no configuration is read" in target.refused_token()
        return
    (line,) = lines
    assert line.startswith(f"dongbo: {path} is skipped, since --url says where the daemon is: ")
    assert said in line
    assert f"{path}, which may name it, was skipped: set $DONGBO_TOKEN" in target.refused_token()
    given = find_target(path, "127.0.0.1:9999", {"DONGBO_TOKEN": "a-token-of-some-length"})
    assert given.token is not None
    assert "refuses the token" in given.refused_token()


def test_a_good_configuration_tells_of_the_daemon_at_a_url(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its token, its zone and its settings hold, and there is nothing to remark."""
    path = write(tmp_path / "a.toml", more='token = { env = "T" }')
    target = find_target(path, "127.0.0.1:9999", {"T": "a-token-of-some-length"})
    assert target.token is not None
    assert target.config == path
    assert capsys.readouterr().err == ""
