"""Children that know no prunecli, without four seconds of imports each: forks of a `python -I` that made them once.

Each still is a process of its own, which runs a script from its file in the folder that is asked for, and dies of a
timeout. What libraries read from the environment when they are imported is the server's: offline, with caches of its
own; the rest is as asked. tests/contract/test_exit_codes.py has the verification start its child as users have it.
Run as a script, this file is the server: a job a line in, an exit status a line out.
"""

import json
import os
import signal
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
CACHES = ("HOME", "HF_HOME", "HF_MODULES_CACHE")


class WarmChild:
    """Stands in for `subprocess` in `prunecli.verification.isolated`; its server starts with the first request."""

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    def __init__(self) -> None:
        self.server: subprocess.Popen[str] | None = None
        self.home = tempfile.TemporaryDirectory(prefix="prunecli-tests-")

    def run(
        self,
        command: Sequence[str],
        *,
        env: dict[str, str],
        cwd: Path,
        timeout: int | None = None,
        **options: Any,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python -I SCRIPT ...` in a fork of the server; where the system cannot fork, as it stands.

        Raises:
            TimeoutExpired: It took longer, and was killed.
        """
        assert env["HF_HUB_OFFLINE"] == OFFLINE["HF_HUB_OFFLINE"], "the server is offline"
        assert all(Path(env[name]).is_relative_to(cwd) for name in CACHES), "a child leaves nothing behind"
        if not hasattr(os, "fork"):
            return subprocess.run(command, env=env, cwd=cwd, timeout=timeout, **options)
        server = self.server = self.server or self._start()
        assert server.stdin and server.stdout and list(command[:2]) == [sys.executable, "-I"]
        said = Path(cwd) / "stderr.txt"
        job = {
            "words": command[2:], "environment": env, "folder": str(cwd), "stderr": str(said),
            "seconds": timeout or 0,
        }  # fmt: skip
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        if timeout is not None and status == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, status, "", said.read_text())

    def _start(self) -> "subprocess.Popen[str]":
        caches = dict.fromkeys(CACHES, self.home.name)
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
    environment = {**OFFLINE, **dict.fromkeys(CACHES, str(folder / "home"))}
    done = WARM.run(command, env=environment, cwd=folder, capture_output=True, text=True)
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


def _work(words: list[str], environment: dict[str, str], folder: str, stderr: str, seconds: int) -> None:
    """Run a script as `python -I` would, at most so many seconds where these are not 0; never return."""
    import runpy
    import traceback

    status = 1
    signal.alarm(seconds)  # nothing catches it: it kills
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
