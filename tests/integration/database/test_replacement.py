"""New data takes the place of the old in one step: whatever ends the process, one of the two is there, whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.database import replacement
from daemon.database.embedded import embedded_server
from daemon.database.replacement import (
    remove_replaced,
    replaced_data,
    replacement_of,
    settle,
    settle_unless_in_use,
    trial_beside,
)
from daemon.errors import EmbeddedServerError, StateDirectoryError
from tests.support.databases import names_in

# What is killed at a call of these: each is a moment in which something has been done and the next has not.
MOMENTS = ("_note_intent", "_exchange", "_finish", "Path.rename", "shutil.rmtree")
REPLACE = """
import os, shutil, signal, sys
from pathlib import Path
from daemon.database import replacement

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

state, moment, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
owner, name = {"Path": Path, "shutil": shutil}.get(moment.partition(".")[0], replacement), moment.rpartition(".")[2]
real = getattr(owner, name)

def sometimes(*arguments, **options):
    global times
    times -= 1
    return die() if times < 0 else real(*arguments, **options)

setattr(owner, name, sometimes)
with replacement.replacement_of(state) as new:
    (new.state_directory / "postgres").mkdir()
    (new.state_directory / "postgres" / "content").write_text("new")
    new.put_in_place()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with old data."""
    return with_data(tmp_path / "state")


def with_data(state: Path) -> Path:
    """Make a state directory with old data."""
    (state / "postgres").mkdir(parents=True)
    (state / "postgres" / "content").write_text("old")
    return state


def replace_by(state: Path, content: str) -> Path | None:
    """Replace the data."""
    with replacement_of(state) as new:
        (new.state_directory / "postgres").mkdir()
        (new.state_directory / "postgres" / "content").write_text(content)
        return new.put_in_place()


def content_of(data: Path) -> str:
    """What the data is."""
    return (data / "content").read_text()


def test_the_old_is_kept_beside_the_new(state: Path) -> None:
    """Under a name that says when it was replaced."""
    kept = replace_by(state, "new")
    assert kept is not None
    assert (content_of(state / "postgres"), content_of(kept)) == ("new", "old")
    assert names_in(state) == ["postgres", kept.name]
    assert replaced_data(state) == [kept]


def test_where_there_is_none_nothing_is_kept(tmp_path: Path) -> None:
    """New data in a new place."""
    assert replace_by(tmp_path, "new") is None
    assert names_in(tmp_path) == ["postgres"]
    assert content_of(tmp_path / "postgres") == "new"


def test_data_on_another_disk_is_replaced_there(state: Path, tmp_path: Path) -> None:
    """Where a link leads to it, all happens beside what it leads to."""
    (state / "postgres").rename(tmp_path / "disk")
    (state / "postgres").symlink_to(tmp_path / "disk")
    kept = replace_by(state, "new")
    assert kept is not None
    assert (kept.parent, content_of(state / "postgres"), content_of(kept)) == (tmp_path, "new", "old")
    assert (state / "postgres").is_symlink()
    assert replaced_data(state) == [kept]


def test_what_was_not_put_in_place_goes(state: Path) -> None:
    """A restore that fails leaves nothing."""
    with pytest.raises(RuntimeError), replacement_of(state) as new:
        (new.state_directory / "postgres").mkdir()
        raise RuntimeError
    assert names_in(state) == ["postgres"]
    assert content_of(state / "postgres") == "old"


def test_file_system_that_can_not_swap_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two renames would leave a moment without any data: rather nothing is done."""
    monkeypatch.setattr(replacement, "RENAME_EXCHANGE", 1 << 20)
    with pytest.raises(EmbeddedServerError, match=r"can't swap two directories .* such as ext4, XFS or Btrfs"):
        replace_by(state, "new")
    assert names_in(state) == ["postgres"]
    assert content_of(state / "postgres") == "old"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("times", [0, 1, 2])
def test_killed_at_any_moment_one_of_them_is_there_whole(tmp_path: Path, moment: str, times: int) -> None:
    """The next command that replaces data, or removes what was replaced, finds all that was there."""
    state = with_data(tmp_path)
    ended = subprocess.run([sys.executable, "-c", REPLACE, str(state), moment, str(times)], env=dict(os.environ))
    assert ended.returncode in (0, -signal.SIGKILL)
    assert content_of(state / "postgres") in ("old", "new")
    settle(state)
    kept = [content_of(path) for path in replaced_data(state)]
    assert (content_of(state / "postgres"), kept) in [("old", []), ("new", ["old"])]
    assert len(names_in(state)) == 1 + len(kept)
    replace_by(state, "newer")
    assert content_of(state / "postgres") == "newer"
    assert "old" in [content_of(path) for path in replaced_data(state)]


async def test_start_of_the_daemon_settles_what_was_cut_off(tmp_path: Path) -> None:
    """The old data does not lie where nobody looks for it, and half of a new one takes no room."""
    async with embedded_server(tmp_path, durable=False):
        pass
    half = tmp_path / "postgres.replacement"
    half.mkdir()
    (half / "postgres").mkdir()
    async with embedded_server(tmp_path, durable=False):
        assert not half.exists()
        settle_unless_in_use(tmp_path)  # waits for nobody


def test_whoever_removes_the_old_data_finds_it_after_a_kill_too(tmp_path: Path) -> None:
    """Killed right after the swap, the old data has no name of its own yet."""
    state = with_data(tmp_path)
    subprocess.run([sys.executable, "-c", REPLACE, str(state), "_finish", "0"], env=dict(os.environ))
    assert (content_of(state / "postgres"), replaced_data(state)) == ("new", [])
    settle_unless_in_use(state)
    (kept,) = replaced_data(state)
    assert content_of(kept) == "old"
    remove_replaced(kept)
    assert replaced_data(state) == []
    with pytest.raises(StateDirectoryError, match=r"can't be read or written: No such file or directory\. Run this as"):
        remove_replaced(kept)


def test_trials_that_were_killed_are_cleaned_up_and_others_left_alone(state: Path) -> None:
    """Two may be tried at once."""
    left = state / "postgres.trial-killed"
    left.mkdir()
    (left / "daemon.lock").touch()
    with trial_beside(state) as one, trial_beside(state) as other:
        assert names_in(state) == sorted(["postgres", one.name, other.name])
    assert names_in(state) == ["postgres"]
