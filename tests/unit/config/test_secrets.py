"""Secrets: found where the configuration says, missing ones explained, none ever shown (rule 11)."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import (
    Settings,
    inspect_secrets,
    load_settings,
    parse_settings,
    renewed_secrets,
    resolve_secrets,
)
from daemon.config.encrypted_credentials import encrypt
from daemon.errors import ConfigError
from daemon.ids import StoreName
from daemon.logging import redact
from daemon.logging.redaction import Redactor

TOKEN = "nhanh-4f9d1c6b"

STORE = """
[stores.main.nhanh]
app_id = 1
business_id = 2
access_token = %s
"""


@pytest.fixture(autouse=True)
def _own_redactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.logging.redaction._process_wide", Redactor())


def settings_with(reference: str) -> Settings:
    """Settings whose Nhanh token is kept at `reference`."""
    return parse_settings(STORE % reference, source="x")


def resolve_token(reference: str, environ: dict[str, str] | None = None) -> str:
    """The Nhanh token that is kept at `reference`."""
    token = resolve_secrets(settings_with(reference), environ or {}).stores[StoreName("main")].nhanh_access_token
    assert token is not None
    return token.get_secret_value()


def problem_with(reference: str, environ: dict[str, str] | None = None) -> str:
    """What is said about the token."""
    with pytest.raises(ConfigError) as caught:
        resolve_token(reference, environ)
    (problem,) = caught.value.problems
    assert problem.startswith("stores.main.nhanh.access_token: ")
    return problem.removeprefix("stores.main.nhanh.access_token: ")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with a token, readable by its owner only."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


def test_from_each_place(secret_file: Path) -> None:
    """A secret comes from the environment, from systemd's credentials or from a file, without a trailing newline."""
    assert resolve_token('{ env = "NHANH_TOKEN" }', {"NHANH_TOKEN": TOKEN}) == TOKEN
    assert resolve_token('{ credential = "token" }', {"CREDENTIALS_DIRECTORY": str(secret_file.parent)}) == TOKEN
    assert resolve_token(f'{{ file = "{secret_file}" }}') == TOKEN


def test_a_command_reads_a_credential_as_it_lies_on_disk(tmp_path: Path) -> None:
    """Encrypted for this machine's systemd it is decrypted, and counts before a plain one, as in the unit."""
    encrypted = encrypt("nhanh-token", TOKEN)
    if encrypted is None:
        pytest.skip("systemd-creds can't encrypt here")
    (tmp_path / "nhanh-token").write_text("an older one")
    (tmp_path / "nhanh-token.cred").write_bytes(encrypted)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert resolve_token('{ credential = "nhanh-token" }', environ) == TOKEN
    (tmp_path / "other.cred").write_bytes(encrypted)  # whose name is a part of what is encrypted
    assert "root" in problem_with('{ credential = "other" }', environ)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A secret that can't be read gives its key, its place, and what to do."""
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert problem_with('{ env = "NHANH_TOKEN" }') == "environment variable NHANH_TOKEN is not set"
    assert (
        problem_with('{ env = "NHANH_TOKEN" }', {"NHANH_TOKEN": " \n"}) == "environment variable NHANH_TOKEN is empty"
    )
    assert problem_with('{ credential = "x" }').startswith("credential x is for systemd")
    assert problem_with('{ credential = "x" }', credentials).startswith(
        "credential x does not exist: add LoadCredential="
    )
    assert problem_with(f'{{ file = "{tmp_path}/x" }}') == f"file {tmp_path}/x does not exist: create it"
    assert problem_with(f'{{ file = "{tmp_path}" }}') == f"file {tmp_path} can't be read: Is a directory"


def test_what_is_no_secret_is_refused(tmp_path: Path) -> None:
    """A wrong file is told from a token, and its content is not shown."""
    path = tmp_path / "token"
    for content, problem in (
        (b"one\ntwo", "holds more than one line"),
        (b"\xff\xfe\x00", "is not text"),
        (b"x" * 70_000, "is too large"),
        (b"", "is empty"),
    ):
        path.write_bytes(content)
        assert problem_with(f'{{ file = "{path}" }}').startswith(f"file {path} {problem}")


def test_all_that_is_missing_at_once() -> None:
    """Whoever sets up a daemon learns of all missing secrets in one go."""
    text = 'status.token = { env = "S" }\ndatabase.url = { env = "D" }\n' + STORE % '{ env = "N" }'
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(parse_settings(text, source="x"), {})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "database.url",
        "status.token",
        "stores.main.nhanh.access_token",
    ]


def test_a_file_for_everybody_gives_a_warning(secret_file: Path) -> None:
    """A secret that every user of the machine can read works, with a warning that says how to mend it."""
    settings = settings_with(f'{{ file = "{secret_file}" }}')
    assert resolve_secrets(settings, {}).warnings == ()
    secret_file.chmod(0o644)
    (warning,) = resolve_secrets(settings, {}).warnings
    assert warning.startswith("stores.main.nhanh.access_token: everybody")
    assert f"chmod 600 {secret_file}" in warning


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o640, "the group "),
        (0o604, "everybody on this machine can read"),
        (0o660, "can read"),
        (0o620, "can change"),
        (0o602, "everybody on this machine can change"),
        (0o400, None),
    ],
)
def test_whoever_else_can_get_at_a_secret_is_named(secret_file: Path, mode: int, said: str | None) -> None:
    """Group and others, to read and to replace it; whether it is named as a file or as a credential."""
    secret_file.chmod(mode)
    for reference in (f'{{ file = "{secret_file}" }}', f'{{ credential = "{secret_file.name}" }}'):
        environ = {"CREDENTIALS_DIRECTORY": str(secret_file.parent)}
        told = resolve_secrets(settings_with(reference), environ).warnings
        assert [said is not None and said in one and "chmod 600" in one for one in told] == ([True] if said else [])


def test_a_group_through_which_the_daemon_reads_is_no_warning(
    secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """root:dongbo 0640 is the way to let the daemon read what it does not own; to close it would stop the daemon."""
    secret_file.chmod(0o640)
    owner = secret_file.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    assert resolve_secrets(settings_with(f'{{ file = "{secret_file}" }}'), {}).warnings == ()


@pytest.mark.parametrize(
    "url", ["postgresql://u:p%40sswort@h/d", "postgresql://u@h/d?sslmode=prefer&password=p%40sswort"]
)
def test_a_password_in_the_database_url_gives_a_warning(tmp_path: Path, url: str) -> None:
    """It says how to do it right and never the password; a file that others can read is a warning of its own."""
    config = tmp_path / "dongbo.toml"
    config.write_text(f'database.url = "{url}"\n')
    config.chmod(0o600)
    (warning,) = resolve_secrets(load_settings(config), {}, config=config).warnings
    assert warning.startswith("database.url: its password stands in the configuration file")
    assert '{ credential = "name" }' in warning
    assert "PGPASSFILE" in warning
    config.chmod(0o644)
    stands, exposed = resolve_secrets(load_settings(config), {}, config=config).warnings
    assert stands == warning
    assert exposed.startswith(f"database.url: everybody on this machine can read {config}: chmod 600 {config}")
    assert "sswort" not in f"{stands}{exposed}"
    assert redact("a p@sswort") == "a ***"


def test_a_database_url_that_is_kept_elsewhere_gives_no_warning(secret_file: Path) -> None:
    """What the warning asks for ends it, and the configuration file may be open then."""
    secret_file.write_text("postgresql://u:p%40sswort@h/d")
    settings = parse_settings(f'database.url = {{ file = "{secret_file}" }}', source="x")
    assert resolve_secrets(settings, {}, config=Path("/etc/passwd")).warnings == ()


def test_what_can_not_be_read_hides_no_warning(secret_file: Path) -> None:
    """A check from another account lacks some secrets, and tells of the others all the same."""
    secret_file.chmod(0o644)
    text = f'status.token = {{ file = "{secret_file}" }}\n' + STORE % '{ env = "N" }'
    found, problems = inspect_secrets(parse_settings(text, source="x"), {})
    assert any(warning.startswith("status.token: everybody") for warning in found.warnings)
    assert problems == ("stores.main.nhanh.access_token: environment variable N is not set",)


def test_a_file_that_is_opened_later_is_noticed_when_secrets_are_renewed(secret_file: Path) -> None:
    """The daemon looks at its files again when they change, and so do the warnings."""
    settings = settings_with(f'{{ file = "{secret_file}" }}')
    before = resolve_secrets(settings, {})
    secret_file.chmod(0o644)
    renewed, _ = renewed_secrets(settings, before, {})
    assert before.warnings == ()
    assert "everybody" in renewed.warnings[0]


def test_a_short_status_token_gives_a_warning() -> None:
    """A token that can be guessed is pointed out."""
    settings = parse_settings('status.token = { env = "T" }', source="x")
    assert resolve_secrets(settings, {"T": "x" * 16}).warnings == ()
    assert "guessed" in resolve_secrets(settings, {"T": "x" * 15}).warnings[0]


def named_tokens(*variables: str) -> Settings:
    """A configuration with a token for each of Lan, Minh and Hoa, in these variables; T has the one without a name."""
    tokens = ", ".join(
        f'{{ name = "{name}", token = {{ env = "{variable}" }}, role = "read" }}'
        for name, variable in zip(("Lan", "Minh", "Hoa"), variables, strict=False)
    )
    return parse_settings(f'[status]\ntoken = {{ env = "T" }}\ntokens = [{tokens}]', source="x")


def test_tokens_have_names() -> None:
    """Each is read from its place, beside the one without a name."""
    found = resolve_secrets(named_tokens("A", "B"), {"T": "t" * 16, "A": "a" * 16, "B": "b" * 16})
    assert {name: token.get_secret_value() for name, token in found.status_tokens.items()} == {
        "Lan": "a" * 16,
        "Minh": "b" * 16,
    }
    assert "a" * 16 not in repr(found)


def test_tokens_that_tell_nobody_apart_or_can_be_guessed_are_refused() -> None:
    """One that is like another's, or like the one without a name, or short; each is said at its key."""
    environ = {"T": "t" * 16, "A": "a" * 16, "SHORT": "x" * 15}
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(named_tokens("A", "A", "T"), environ)
    assert caught.value.problems == (
        "status.tokens[1].token: is the same as status.tokens[0].token: give Minh a token of their own",
        "status.tokens[2].token: is the same as status.token: give Hoa a token of their own",
    )
    with pytest.raises(ConfigError, match=r"status.tokens\[0\].token: has under 16 characters"):
        resolve_secrets(named_tokens("SHORT"), environ)


def test_a_token_that_can_not_be_read_any_more_keeps_its_owner_in() -> None:
    """The others are renewed, and what is wrong is told; a token that is left out of the file is gone."""
    environ = {"T": "t" * 16, "A": "a" * 16, "B": "b" * 16}
    known = resolve_secrets(named_tokens("A", "B"), environ)
    renewed, told = renewed_secrets(named_tokens("A", "GONE"), known, environ | {"A": "c" * 16})
    assert [token.get_secret_value() for token in renewed.status_tokens.values()] == ["c" * 16, "b" * 16]
    assert told == ("status.tokens[1].token: environment variable GONE is not set",)
    assert list(renewed_secrets(named_tokens("A"), known, environ)[0].status_tokens) == ["Lan"]


@pytest.mark.parametrize(
    "value", [f'"{TOKEN}"', f'{{ env = "{TOKEN}" }}', f'{{ credential = "/{TOKEN}" }}', "12345678"]
)
def test_a_secret_in_the_file_is_refused_unseen(value: str) -> None:
    """A token written into the file itself gives the way to do it right, and does not show up in the message."""
    with pytest.raises(ConfigError) as caught:
        settings_with(value)
    assert TOKEN not in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_exactly_one_place() -> None:
    """A secret is kept in one place."""
    for reference in ("{}", '{ env = "A", file = "/b" }'):
        with pytest.raises(ConfigError, match="say exactly one place"):
            settings_with(reference)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=6))
def test_the_password_of_a_wrong_database_url_is_not_shown(password: str) -> None:
    """Whatever is wrong with a database URL, the message says so without quoting it."""
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(
            parse_settings('database.url = { env = "URL" }', source="x"),
            {"URL": f"mysql://dongbo:{password}@db.example.com:port/dongbo"},
        )
    assert "db.example.com:port" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_password_with_a_slash_gets_the_way_to_write_it() -> None:
    """The usual mistake in database URLs is explained, in the file and in secrets."""
    with pytest.raises(ConfigError, match="write / as %2F") as caught:
        parse_settings('database.url = "postgresql://u:gehe/im@h:5432/d"', source="x")
    assert "gehe" not in str(caught.value)


def test_the_database_url_of_the_file_or_a_secret() -> None:
    """A URL without a password may stand in the file; both ways give the same."""
    url = "postgresql://dongbo@db.example.com/dongbo"
    plain = resolve_secrets(parse_settings(f'database.url = "{url}"', source="x"), {})
    secret = resolve_secrets(parse_settings('database.url = { env = "URL" }', source="x"), {"URL": url})
    assert plain == secret
    assert plain.database_url is not None
    assert plain.database_url.get_secret_value() == url


@pytest.mark.parametrize("key", ["listen_url", "read_url"])
def test_the_other_addresses_of_the_database_are_secrets_as_well(tmp_path: Path, key: str) -> None:
    """A password in one of them never shows, gives the same warning, and a changed one needs a restart."""
    config = tmp_path / "dongbo.toml"
    config.write_text(f'[database]\nurl = "postgresql://h/d"\n{key} = "postgresql://u:p%40sswort@h/d"\n')
    config.chmod(0o600)
    settings = load_settings(config)
    secrets = resolve_secrets(settings, {}, config=config)
    assert [warning.partition(":")[0] for warning in secrets.warnings] == [f"database.{key}"]
    for shown in (repr(settings), settings.model_dump_json(), repr(secrets)):
        assert "sswort" not in shown
    assert redact("p@sswort") == "***"
    with_another = parse_settings(config.read_text().replace("@h/d", "@other/d"), source="x")
    assert resolve_secrets(with_another, {}).changed_databases(secrets) == [f"database.{key}"]


def test_an_address_of_the_database_that_can_not_be_read_keeps_what_is_known(secret_file: Path) -> None:
    """A running daemon does not lose an address over a file that is being written."""
    secret_file.write_text("postgresql://u:p%40sswort@h/d")
    text = f'[database]\nurl = "postgresql://h/d"\nlisten_url = {{ file = "{secret_file}" }}\n'
    settings = parse_settings(text, source="x")
    known = resolve_secrets(settings, {})
    secret_file.write_text("half")
    renewed, problems = renewed_secrets(settings, known, {})
    assert renewed.database_listen_url == known.database_listen_url
    assert [problem.partition(":")[0] for problem in problems] == ["database.listen_url"]


def test_nothing_shows_a_secret(secret_file: Path) -> None:
    """No form in which settings and secrets may be printed holds one, and the log knows them all."""
    text = 'database.url = "postgresql://u:p%40sswort@h/d"\n' + STORE % f'{{ file = "{secret_file}" }}'
    settings = parse_settings(text, source="x")
    secrets = resolve_secrets(settings, os.environ)
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(secrets), str(secrets)):
        assert TOKEN not in shown
        assert "sswort" not in shown
    assert redact(f"a {TOKEN} b p%40sswort c p@sswort") == "a *** b *** c ***"


def test_secrets_compare_by_their_values(secret_file: Path) -> None:
    """A reload sees that a token was renewed though the configuration is the same."""
    settings = settings_with(f'{{ file = "{secret_file}" }}')
    before = resolve_secrets(settings, {})
    assert resolve_secrets(settings, {}) == before
    secret_file.write_text("renewed-token")
    assert resolve_secrets(settings, {}) != before
