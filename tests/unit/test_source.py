"""What a user names becomes a folder, or a message that says what is missing."""

from pathlib import Path
from typing import Any

import pytest

from prunecli.checkpoints.source import find_folder, find_model
from prunecli.errors import InputError, OfflineError
from prunecli.tasks import load_task


class TransportError(Exception):
    """Stands in for that of httpx."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_demo_is_the_bundled_model() -> None:
    assert (find_model("demo", "demo") / "config.json").is_file()
    assert find_folder(Path("demo")) == find_model("demo", "qqp")


def test_a_folder_is_taken_as_it_is(here: Path) -> None:
    (here / "my-model").mkdir()
    assert find_model("my-model", "qqp") == Path("my-model")


def test_a_fine_tuned_download_goes_before_the_plain_model(here: Path) -> None:
    (here / "bert-base-uncased").mkdir()
    (here / "checkpoints" / "bert-base-uncased" / "qqp").mkdir(parents=True)
    assert find_model("bert-base-uncased", "qqp") == Path("checkpoints/bert-base-uncased/qqp")
    assert find_model("bert-base-uncased", "sst2") == Path("bert-base-uncased")


def test_a_name_that_is_written_as_a_path_is_that_folder(here: Path) -> None:
    (here / "my-model").mkdir()
    for name in ("my-model/sst2", "my-model", "../sst2"):
        (here / "checkpoints" / name).mkdir(parents=True, exist_ok=True)
    assert find_model("./my-model", "sst2") == Path("my-model")
    assert find_model("..", "sst2") == Path("..")
    assert find_model("my-model", "") == Path("my-model")


def test_a_data_folder_is_never_taken_for_the_model(here: Path) -> None:
    (here / "my-model").mkdir()
    (here / "data").mkdir()
    assert find_model("my-model", str(here / "data")) == Path("my-model")


def test_a_folder_inside_the_model_is_never_taken_for_it(here: Path) -> None:
    (here / "my-model" / "qqp").mkdir(parents=True)
    assert find_model(str(here / "my-model"), "qqp") == here / "my-model"


@pytest.mark.parametrize("name", ["./absent", "../absent", "/absent/model", "~/absent", "a/b/c"])
def test_a_path_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_model(name, "qqp")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("./runs/qpp", "runs/qqp"),
        ("runs/qpp", "runs/qqp"),
        ("run/qqp/model", "runs/qqp/model"),
        ("runs/qqp/modle", "runs/qqp/model"),
        ("rans/", "runs"),
    ],
)
def test_a_mistyped_folder_is_told_at_once_with_the_nearest(name: str, near: str, here: Path) -> None:
    (here / "runs" / "qqp" / "model").mkdir(parents=True)
    (here / "runs" / "qqp" / "run.json").touch()
    with pytest.raises(InputError, match="no such folder") as raised:
        find_model(name, "")
    assert raised.value.fix == f"did you mean {near}?"
    with pytest.raises(InputError, match="no such folder"):
        find_folder(Path(name))


def test_a_hub_id_may_begin_like_a_folder_without_checkpoints(here: Path) -> None:
    (here / "sentence-transformers" / "docs").mkdir(parents=True)
    with pytest.raises(OfflineError):
        find_model("sentence-transformers/all-MiniLM-L6-v2", "")


@pytest.mark.parametrize("name", ["no-such-model-here", "someone/no-such-model-here"])
def test_a_hub_id_out_of_reach_says_so(name: str) -> None:
    with pytest.raises(
        OfflineError, match="no such folder, and it could not be downloaded from the hub: it is out of reach"
    ) as raised:
        find_model(name, "qqp")
    assert raised.value.fix


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (ValueError("bad revision\nand more"), "bad revision"),
        (TimeoutError("slow"), "it is out of reach, and nothing is in the cache"),
        (TransportError("slow"), "it is out of reach, and nothing is in the cache"),
    ],
)
def test_of_the_hub_only_the_network_is_out_of_reach(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    monkeypatch.setattr("datasets.load_dataset", fail)
    with pytest.raises(OfflineError) as model:
        find_model("someone/model", "qqp")
    assert model.value.message.endswith(f"downloaded from the hub: {said}")
    assert ("network" in str(model.value.fix)) == ("reach" in said)
    with pytest.raises(OfflineError) as data:
        load_task("sst2")
    assert data.value.message.endswith(f"from the hub: {said.partition(',')[0]}")


@pytest.mark.parametrize("name", ["a b", "what?", "x--y..z"])
def test_what_can_be_no_hub_id_is_refused(name: str) -> None:
    with pytest.raises((InputError, OfflineError)):
        find_model(name, "qqp")
