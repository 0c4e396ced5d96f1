"""A folder appears whole or not at all, whatever stops the writing."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from prunecli.checkpoints.atomic import check_target, partial_path, staged_folder
from prunecli.errors import InputError, TargetExistsError
from prunecli.operations import apply_masks
from tests import tiny

WRITER = """
import sys, time
from pathlib import Path
from prunecli.checkpoints.atomic import staged_folder
with staged_folder(Path(sys.argv[1]), overwrite=True) as folder:
    (folder / "half").write_text("written")
    print("ready", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    """Return what stands in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a target that stands already."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("kept")
    return tmp_path / "target"


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "a" / "target") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "target").exists()
    assert names(tmp_path / "a") == ["target"]
    assert names(tmp_path / "a" / "target") == ["file"]


def test_a_failure_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staged_folder(tmp_path / "target") as folder:
        (folder / "file").write_text("x")
        _ = 1 / 0
    assert names(tmp_path) == []


def test_a_failure_inside_keeps_the_old_target(old: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staged_folder(old, overwrite=True) as folder:
        (folder / "new").write_text("x")
        raise KeyboardInterrupt
    assert names(old) == ["old"]
    assert names(old.parent) == ["target"]


def test_overwrite_swaps_the_folders(old: Path) -> None:
    with staged_folder(old, overwrite=True) as folder:
        (folder / "new").write_text("x")
        assert names(old) == ["old"]
    assert names(old) == ["new"]
    assert names(old.parent) == ["target"]


def test_without_overwrite_the_target_stays(old: Path) -> None:
    with pytest.raises(TargetExistsError, match="already exists") as raised, staged_folder(old):
        pass
    assert "--overwrite" in str(raised.value.fix)
    assert names(old.parent) == ["target"]


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    check_target(tmp_path, overwrite=False)


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        check_target(tmp_path / "target", overwrite=True)


def test_a_full_disk_is_an_input_error_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"target could not be written: No space left"),
        staged_folder(tmp_path / "target"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_full_disk_in_the_middle_of_a_cut_leaves_nothing(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(apply_masks, "write_weights", full)
    masks = tiny.random_masks(tiny.sizes(bert), ("head",), seed=0)
    with pytest.raises(InputError, match="No space left"):
        tiny.cut(bert, masks, tmp_path / "cut")
    assert names(tmp_path) == ["cut-masks"]


def test_a_swap_that_fails_puts_the_old_folder_back(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self == partial_path(old):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError), staged_folder(old, overwrite=True):
        pass
    assert names(old.parent) == ["target"]
    assert names(old) == ["old"]


@pytest.mark.parametrize("stands", [False, True])
def test_a_kill_while_writing_leaves_the_target_as_it_was(stands: bool, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if stands:
        target.mkdir()
        (target / "old").write_text("kept")
    with subprocess.Popen([sys.executable, "-c", WRITER, target], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.kill()
    assert target.exists() == stands
    assert not stands or names(target) == ["old"]
    with staged_folder(target, overwrite=True) as folder:  # the next run clears what was left over
        (folder / "new").write_text("x")
    assert names(tmp_path) == ["target"]
    assert names(target) == ["new"]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders")
def test_of_two_at_once_the_second_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with subprocess.Popen([sys.executable, "-c", WRITER, target], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(InputError, match="another command is writing"), staged_folder(target):
            pass
        assert names(partial_path(target)) == ["half"]
        child.kill()
    with staged_folder(target) as folder:
        assert names(folder) == []


def test_what_others_call_old_stays(old: Path) -> None:
    mine = old.with_name("target.old")
    mine.mkdir()
    (mine / "notes").write_text("precious")
    with staged_folder(old, overwrite=True) as folder:
        (folder / "new").write_text("x")
    assert names(old.parent) == ["target", "target.old"]
    assert names(mine) == ["notes"] and names(old) == ["new"]


KILLED = """
import os, sys
from pathlib import Path
from prunecli.checkpoints.atomic import staged_folder
rename = Path.rename
Path.rename = lambda self, to: os._exit(9) if self.name == "target.partial" else rename(self, to)
with staged_folder(Path(sys.argv[1]), overwrite=True) as folder:
    (folder / "new").write_text("x")
"""


def test_a_kill_in_the_swap_loses_nothing(old: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, old], check=False).returncode == 9
    assert not old.exists()
    with staged_folder(old) as folder:
        (folder / "new").write_text("x")
    (aside,) = (path for path in old.parent.iterdir() if path != old)
    assert aside.name.startswith(".target.replaced-") and names(aside / "target") == ["old"]


def test_an_interrupted_swap_puts_the_old_folder_back(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self == partial_path(old):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), staged_folder(old, overwrite=True) as folder:
        (folder / "new").write_text("x")
    assert names(old.parent) == ["target"] and names(old) == ["old"]


def test_what_another_command_has_finished_meanwhile_stays(tmp_path: Path) -> None:
    slow = staged_folder(tmp_path / "target")
    check_target(tmp_path / "target", overwrite=False)
    with staged_folder(tmp_path / "target") as folder:
        (folder / "first").write_text("x")
    with pytest.raises(TargetExistsError), slow:
        pass
    assert names(tmp_path) == ["target"] and names(tmp_path / "target") == ["first"]


def test_links_and_mount_points_are_refused(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (old.parent / "link").symlink_to(old)
    with pytest.raises(InputError, match="link is a link"):
        check_target(old.parent / "link", overwrite=True)
    monkeypatch.setattr("os.path.ismount", lambda path: path == old)
    with pytest.raises(InputError, match="is a mount point"):
        check_target(old, overwrite=True)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_target_that_cannot_be_renamed_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError), staged_folder(Path(name), overwrite=True):
        pass
    assert names(tmp_path) == ["here"]


def test_a_file_on_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("a")
    with pytest.raises(InputError, match=r"rows\.txt is a file, not a folder"):
        check_target(tmp_path / "rows.txt" / "run", overwrite=False)


def test_what_else_the_block_works_with_is_not_called_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "here" / "out"):
        Path("/nowhere/else").read_text(encoding="utf-8")
    assert list(tmp_path.rglob("*.partial")) == []


def test_a_relative_target_is_told_from_a_relative_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError), staged_folder(Path("out")):
        Path("data/absent").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="out could not be written"), staged_folder(Path("out")) as folder:
        (folder.resolve() / "absent" / "file").write_text("a", encoding="utf-8")
