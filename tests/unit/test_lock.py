"""The list of what production installs: it fits what the program asks for, to the hash, and names no place."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
PINNED = {
    canonicalize_name(name): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)
}


def _wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    lines = [
        *project["project"]["dependencies"],
        *extras["embedded"],
        *extras["alerts"],
        *project["build-system"]["requires"],
    ]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("wanted", _wanted(), ids=lambda wanted: wanted.name)
def test_the_lock_has_a_version_that_fits(wanted: Requirement) -> None:
    """Whoever raises a bound locks anew: `.ci/lock`."""
    assert PINNED[canonicalize_name(wanted.name)] in wanted.specifier


def test_every_package_has_its_hashes() -> None:
    """`pip install --require-hashes` takes all or nothing."""
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINNED)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_lock_names_no_place() -> None:
    """Everybody installs from the index of their own."""
    assert "://" not in LOCK
    assert "--index" not in LOCK
    assert "--find-links" not in LOCK


def test_what_only_the_sandbox_or_a_developer_needs_is_not_in_it() -> None:
    """It is what a shop's server gets."""
    assert not PINNED.keys() & {"graphql-core", "phonenumbers", "pytest", "mypy", "playwright"}
