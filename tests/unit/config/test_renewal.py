"""Which secrets a reload renews, by where they are kept."""

from pathlib import Path

from daemon.config import Settings
from daemon.config.loading import parse_settings
from daemon.config.renewal import SecretRenewal

TEXT = """
status.token = { credential = "status-token" }
[stores.first.nhanh]
app_id = 1
business_id = 2
access_token = { credential = "nhanh-token" }
[stores.second.nhanh]
app_id = 1
business_id = 2
access_token = { env = "NHANH_TOKEN" }
[stores.third.nhanh]
app_id = 1
business_id = 2
access_token = { file = "/run/nhanh-token" }
"""


def settings() -> Settings:
    """A secret in each kind of place."""
    return parse_settings(TEXT, source="x")


def credentials(directory: Path) -> Path:
    """A directory as systemd makes one, instead of the one before."""
    made = directory / "new"
    made.mkdir()
    (made / "nhanh-token").write_text("secret")
    if (old := directory / "credentials").exists():
        old.rename(directory / "old")
    return made.rename(directory / "credentials")


def test_a_reload_renews_neither_variables_nor_credentials_that_stay(tmp_path: Path) -> None:
    """As long as systemd makes no new copies, only files are renewed."""
    renewal = SecretRenewal({"CREDENTIALS_DIRECTORY": str(credentials(tmp_path))})
    renewal.look()
    kept = renewal.kept(settings())
    assert (kept.credentials, kept.variables) == (("nhanh-token", "status-token"), ("NHANH_TOKEN",))
    assert renewal.kept_sources(settings()) == {("first", "nhanh"), ("second", "nhanh")}


def test_new_copies_are_noticed(tmp_path: Path) -> None:
    """Where systemd has made new copies for this reload, credentials are renewed; if not for the next, not any more."""
    renewal = SecretRenewal({"CREDENTIALS_DIRECTORY": str(credentials(tmp_path))})
    credentials(tmp_path)
    renewal.look()
    assert renewal.kept(settings()).credentials == ()
    assert renewal.kept_sources(settings()) == {("second", "nhanh")}
    renewal.look()
    assert renewal.kept(settings()).credentials == ("nhanh-token", "status-token")


def test_nothing_is_kept_where_all_is_in_files() -> None:
    """Then there is nothing to tell."""
    renewal = SecretRenewal({})
    renewal.look()
    assert not renewal.kept(parse_settings('status.token = { file = "/run/status-token" }', source="x"))
