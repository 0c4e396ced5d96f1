"""Children that know no prunecli, without four seconds of imports each: forks of a `python -I` that made them once.

Each still is a process of its own, which runs a script from its file with the environment and in the folder that are
asked for. tests/contract/test_exit_codes.py has the verification start its child as users have it.
Run as a script, this file is the server: a job a line in, an exit status a line out.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OFFLINE = {
    "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip


class WarmChild:
    """Stands in for `subprocess` in `prunecli.verification.isolated`; its server starts with the first request."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    def __init__(self) -> None:
        self.server: subprocess.Popen[str] | None = None
        self.home = tempfile.TemporaryDirectory(prefix="prunecli-tests-")

    def run(
        self, command: Sequence[str], *, env: dict[str, str], cwd: Path, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python -I SCRIPT ...` in a fork of the server; where the system cannot fork, as it stands."""
        if not hasattr(os, "fork"):
            return subprocess.run(command, env=env, cwd=cwd, **options)
        server = self.server = self.server or self._start()
        assert server.stdin and server.stdout and list(command[:2]) == [sys.executable, "-I"]
        said = Path(cwd) / "stderr.txt"
        job = {"words": command[2:], "environment": env, "folder": str(cwd), "stderr": str(said)}
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, status, "", said.read_text())

    def _start(self) -> "subprocess.Popen[str]":
        caches = {"HOME": self.home.name, "HF_HOME": self.home.name, "HF_MODULES_CACHE": self.home.name}
        return subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", __file__], env={**OFFLINE, **caches},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        """End the server, and remove what it cached."""
        if self.server is not None:
            self.server.communicate()
        self.home.cleanup()


WARM = WarmChild()


def run_code(code: str, argument: str, folder: Path) -> None:
    """Run Python where there is no prunecli, in a folder, and make sure that it ends well."""
    script = folder / "child.py"
    script.write_text('import sys\nsys.modules["prunecli"] = None  # an import of it fails\n' + code)
    command = [sys.executable, "-I", str(script), argument]
    done = WARM.run(command, env=OFFLINE, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _serve() -> None:
    """Fork for each line of standard input, until it ends."""
    import safetensors.torch  # noqa: F401
    import transformers

    # transformers imports what it needs when it needs it: a model that is built, saved and loaded needs all of it.
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    with tempfile.TemporaryDirectory() as folder:
        transformers.BertModel(transformers.BertConfig(**dict.fromkeys(sizes, 1))).save_pretrained(folder)
        transformers.AutoModel.from_pretrained(folder)
    for line in sys.stdin:
        job = json.loads(line)
        if (fork := os.fork()) == 0:
            _work(**job)
        status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        print(status, flush=True)


def _work(words: list[str], environment: dict[str, str], folder: str, stderr: str) -> None:
    """Run a script as `python -I` would; never return."""
    import runpy
    import traceback

    status = 1
    try:
        for number, path in ((0, os.devnull), (1, os.devnull), (2, stderr)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
