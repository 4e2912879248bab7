"""The limit of open files is raised at the start, in a process of its own: a hard limit never rises again."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

from daemon.app import _files_needed, _most_connections
from daemon.config import Settings
from daemon.open_files import open_files
from daemon.status.parts import MOST_CONNECTIONS

UNIT = Path(__file__).parents[2] / "systemd" / "dongbo.service"
SCRIPT = """
import json, resource, sys
from daemon.open_files import open_files, raise_limit
soft, hard, needed = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(json.dumps([raise_limit(needed), open_files().limit]), file=sys.stderr)
"""


def raised(soft: int, hard: int, needed: int) -> tuple[list[int], str]:
    """What a process with such limits comes to, and its log."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(needed)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stderr), done.stdout


def test_it_is_raised_to_what_is_needed() -> None:
    """And never lowered."""
    assert raised(64, 512, 256)[0] == [256, 256]
    assert raised(400, 512, 256)[0] == [400, 400]


def test_what_the_hard_limit_does_not_give_is_told() -> None:
    """With what is missing and where to raise it."""
    limits, log = raised(64, 128, 256)
    assert limits == [128, 128]
    assert "open_files_limit_low" in log
    assert re.search(r"missing\S*=\S*128", log)
    assert "LimitNOFILE" in log


def test_they_are_counted_where_none_can_be_opened() -> None:
    """Whoever watches over them must not fail just then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        files = open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (files.count, files.limit) == (0, 0)


def test_the_unit_gives_what_the_defaults_need() -> None:
    """systemd's hard limit is above what the daemon asks for, whatever the size of its pool."""
    stated = re.search(r"^LimitNOFILE=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert stated is not None
    largest = Settings.model_validate({"database": {"max_connections": 200}})
    assert int(stated[1]) >= _files_needed(largest) > 2 * MOST_CONNECTIONS


def test_fewer_files_are_fewer_connections() -> None:
    """But always some."""
    settings = Settings()
    assert _most_connections(_files_needed(settings), settings) == MOST_CONNECTIONS
    assert 300 < _most_connections(1024, settings) < 512
    assert _most_connections(64, settings) == 64


def test_open_files_are_counted() -> None:
    """As the kernel counts them."""
    before = open_files()
    with UNIT.open():
        assert open_files().count == before.count + 1
    assert before.limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
