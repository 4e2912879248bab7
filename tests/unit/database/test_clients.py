"""How programs of PostgreSQL are told of a database."""

import os

import pytest

from daemon.database.postgres_clients import address_of


@pytest.mark.parametrize(
    ("dsn", "url", "password"),
    [
        ("postgresql://u:s%40crEt@db.example:5433/shop", "postgresql://u@db.example:5433/shop", "s@crEt"),
        ("postgresql://u@db/shop?password=s@crEt&sslmode=require", "postgresql://u@db/shop?sslmode=require", "s@crEt"),
        ("postgresql://db/shop?user=u&sslpassword=s%40crEt", "postgresql://db/shop?user=u", None),
        ("postgresql:///?database=shop&search_path=x", "postgresql:///?dbname=shop", None),
        (
            "postgres://a,b:1/shop?target_session_attrs=primary",
            "postgresql://a,b:1/shop?target_session_attrs=primary",
            None,
        ),
        (
            "postgresql://postgres@/dongbo?host=/s%20t&port=5432",
            "postgresql://postgres@/dongbo?host=/s%20t&port=5432",
            None,
        ),
    ],
)
def test_password_is_not_in_what_others_see(
    monkeypatch: pytest.MonkeyPatch, dsn: str, url: str, password: str | None
) -> None:
    """The address goes on the command line, the password into the environment, which is the user's alone."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address = address_of(dsn)
    assert (address.url, address.environment.get("PGPASSWORD")) == (url, password)
    assert "crEt" not in address.url


def test_way_through_a_descriptor_is_good_for_other_processes() -> None:
    """A long path is reached through a descriptor of this process, by a name that others can use."""
    address = address_of("postgresql://postgres@/dongbo?host=/proc/self/fd/7&port=5432")
    assert f"host=/proc/{os.getpid()}/fd/7" in address.url
    assert address.is_local
