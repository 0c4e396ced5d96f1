"""No network, no hub, few threads, fixed seeds; tiny checkpoints that are saved once a session."""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before the first import of a library that reads it
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# transformers copies a checkpoint's modeling file here; a folder of its own keeps runs apart.
_modules = tempfile.TemporaryDirectory(prefix="prunecli-tests-")
os.environ["HF_MODULES_CACHE"] = _modules.name

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from prunecli.encoders import Encoder  # noqa: E402
from prunecli.verification import isolated  # noqa: E402
from tests import tiny  # noqa: E402
from tests.warm_child import WARM  # noqa: E402

torch.set_num_threads(1)  # xdist has a worker a core
transformers.utils.logging.disable_progress_bar()

settings.register_profile(
    "default",
    deadline=None,  # the first example pays for imports
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def _refuse(sock: socket.socket, address: Any) -> None:
    raise OSError(f"tests use no network, but something connects to {address!r}")


def pytest_sessionfinish() -> None:
    """Remove the folder of copied modeling files."""
    _modules.cleanup()


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Let every connection fail that is not to a socket of this machine's file system."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        allowed = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: Any, allowed: Any = allowed) -> Any:
            local = self.family == getattr(socket, "AF_UNIX", None)
            return allowed(self, address) if local else _refuse(self, address)

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def warm_child() -> Iterator[None]:
    """Fork the verification's child from a process that has imported torch once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated, "subprocess", WARM)
        yield
    WARM.close()


@pytest.fixture(autouse=True)
def same_seeds() -> None:
    """Start each test from the same random state."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def log_as_imported() -> None:
    """Start each test with the log that an import leaves, whatever a command line did to it before."""
    logger = logging.getLogger("prunecli")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function (model_type, head, dtype) -> folder, each saved once a session: never write into it."""
    saved: dict[tuple[str, ...], Path] = {}

    def folder(model_type: str = "bert", head: str = tiny.CLASSIFICATION, dtype: str = "float32") -> Path:
        key = (model_type, head, dtype)
        if key not in saved:
            saved[key] = tiny.save_tiny(tmp_path_factory.mktemp("-".join(key)), *key)
        return saved[key]

    return folder


@pytest.fixture(scope="session")
def bert(tiny_checkpoint: Callable[..., Path]) -> Path:
    """Return the folder of a tiny BERT with a classification head: never write into it."""
    return tiny_checkpoint("bert")


@pytest.fixture(scope="session")
def bert_encoder(bert: Path) -> Encoder:
    """Return the table and sizes of the tiny BERT."""
    return tiny.sizes(bert)
