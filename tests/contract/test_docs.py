"""The documentation against what is there: links, commands, options, file trees, and guides followed word for word."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from prunecli.cli.app import VERBS
from prunecli.cli.output import LIBRARIES
from prunecli.errors import ExitCode
from prunecli.inference.timing import Spread
from prunecli.masks.latency_table import LatencyTable, Setting, SublayerTimes
from prunecli.operations import (
    apply_masks,
    benchmark,
    calibrate,
    convert,
    evaluate,
    predictions,
    self_test,
    train_masks,
    verify_automodel,
)
from tests.contract import freeze

DOCS = freeze.ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = freeze.ROOT / "README.md"
CONTRIBUTING = freeze.ROOT / "CONTRIBUTING.md"
PACKAGE = freeze.ROOT / "prunecli"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE_FILE = re.compile(r"`((?:prunecli|tests|benchmarks|scripts)/[\w./-]+\.\w+)`")
SHARED = {"--config", "--json", "--quiet", "-q", "--help", "-h"}


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[Path]:
    """Return the files that a page links to."""
    targets = [target.partition("#")[0] for target in LINK.findall(prose(page)) if "://" not in target]
    return [(page.parent / target).resolve() for target in targets if target]


def commands(page: Path) -> list[list[str]]:
    """Return the words after `prunecli` of every command in the page's console blocks."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line[:2] == "$ "]
    return [found for line in lines for found in commands_of(line.removeprefix("$ "))]


def commands_of(line: str) -> list[list[str]]:
    """Split a shell line, and return the words of each `prunecli` or `-m prunecli` in it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    words: list[str] | None = None  # of the command at hand; None while it is not prunecli
    before = ";"
    for word in lexer:
        if set(word) <= set("();<>|&"):
            words = None
        elif words is not None:
            words.append(word)
        elif word == "prunecli" and (before in (";", "|", "&&", "-m") or "=" in before):
            words = []
            found.append(words)
        before = word
    return found


def name(page: Path) -> str:
    """Return a page's name for a test's id."""
    return str(page.relative_to(freeze.ROOT))


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.is_file():
            seen.add(page)
            waiting += [target for target in links(page) if target.suffix == ".md"]
    assert [name(page) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("page", [*PAGES, README, CONTRIBUTING], ids=name)
def test_links_and_named_files_exist(page: Path) -> None:
    missing = [str(target) for target in links(page) if not target.exists()]
    missing += [file for file in SOURCE_FILE.findall(prose(page)) if not (freeze.ROOT / file).exists()]
    planned = {
        "prunecli/methods/straight_through.py",
        "tests/unit/test_NAME.py",
        "scripts/test_pruning_automodel.py",  # the training package's
    }
    assert set(missing) <= planned


@pytest.mark.parametrize("page", [*PAGES, README], ids=name)
def test_every_command_has_a_known_verb_and_known_options(page: Path) -> None:
    surface = freeze.surface()
    for verb, *words in commands(page):
        if verb.startswith("-") or verb == "VERB":
            continue
        known = {spelling for names in surface[verb] for spelling in names.split(", ")} | SHARED
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, f"prunecli {verb} {shlex.join(words)}"


def test_commands_are_found() -> None:
    """Guard the test above against finding nothing."""
    found = [verb for page in PAGES for verb, *_ in commands(page)]
    assert {verb.config.verb for verb in VERBS} <= set(found)
    assert len(found) > 40


def test_every_verb_and_option_is_explained_outside_the_generated_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page != freeze.PAGE)
    names = {spelling.split(", ")[0] for options in freeze.surface().values() for spelling in options}
    options = {option for option in names if option.startswith("--")}
    wanted = options | {verb.config.verb for verb in VERBS}
    assert sorted(word for word in wanted if not re.search(rf"(?<![\w-]){word}(?![\w-])", text)) == []


def test_every_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \|", (DOCS / "reference" / "exit-codes.md").read_text(), re.MULTILINE)
    assert [int(code) for code in rows] == [code.value for code in ExitCode]


@pytest.mark.parametrize(
    "result",
    [
        train_masks.TrainMasksResult,
        train_masks.TrainMasksPlan,
        apply_masks.ApplyMasksResult,
        verify_automodel.VerifyResult,
        evaluate.EvaluateResult,
        benchmark.BenchmarkResult,
        benchmark.Size,
        benchmark.Speed,
        Spread,
        benchmark.TablesResult,
        LatencyTable,
        Setting,
        SublayerTimes,
        predictions.PredictResult,
        calibrate.CalibrateResult,
        convert.ConvertResult,
        self_test.SelfTestResult,
        self_test.Step,
    ],
)
def test_every_field_of_a_json_result_is_explained(result: type) -> None:
    text = (DOCS / "reference" / "json.md").read_text(encoding="utf-8")
    assert [item.name for item in dataclasses.fields(result) if f"`{item.name}`" not in text] == []


def test_the_readme_names_every_package_and_no_other() -> None:
    tree = next(block for block in blocks(README, "") if "prunecli/" in block)
    named = set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE))
    assert named == {folder.name for folder in PACKAGE.iterdir() if folder.is_dir()} - {"__pycache__"}
    files = set(re.findall(r"^  (\w+\.py) ", tree, re.MULTILINE))
    assert files == {file.name for file in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}


@pytest.mark.parametrize(
    ("page", "row"),
    [(README, r"^  (\w+)(?:/|\.py) "), (DOCS / "concepts" / "architecture.md", r"^\| `(\w+)(?:/|\.py)`")],
    ids=["README", "architecture"],
)
def test_packages_are_listed_in_the_order_in_which_they_may_import(page: Path, row: str) -> None:
    project = tomllib.loads((freeze.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    heights = {
        name.strip().removeprefix("prunecli."): height
        for height, layer in enumerate(layers)
        for name in layer.split("|")
    }
    listed = [
        heights[name]
        for name in re.findall(row, page.read_text(encoding="utf-8"), re.MULTILINE)
        if name in heights
    ]
    assert len(listed) > 15 and listed == sorted(listed)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the package's folder that a guide may write into."""
    return shutil.copytree(PACKAGE, tmp_path / "prunecli", ignore=shutil.ignore_patterns("__pycache__"))


def run_beside(package: Path, *words: str) -> str:
    """Run Python beside a copy of the package, which it imports instead of the installed one."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, *words], cwd=package.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_add_a_family_works_word_for_word(copy: Path) -> None:
    table, script = blocks(DOCS / "guides" / "add-a-family.md", "python")
    file = copy / "encoders" / "eurobert.py"
    assert file.read_text() == table  # the guide shows the file that stands here
    file.unlink()
    known = "from prunecli.encoders import supported_model_types as known; print('eurobert' in known())"
    assert run_beside(copy, "-c", known).strip() == "False"
    file.write_text(table)
    (copy.parent / "try.py").write_text(script)
    assert "0 decisions differ" in run_beside(copy, "try.py")


def test_add_a_method_works_word_for_word(copy: Path) -> None:
    (method,) = blocks(DOCS / "guides" / "add-a-method.md", "python")
    (copy / "methods" / "straight_through.py").write_text(method)
    (asked,) = commands(DOCS / "guides" / "add-a-method.md")
    sizes = ("--max-steps", "2", "--max-train-samples", "64", "--max-length", "64", "--device", "cpu")
    assert run_beside(copy, "-m", "prunecli", *asked, *sizes, "-q").strip() == "runs/demo"


def test_what_is_set_for_the_libraries_is_documented() -> None:
    said = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    assert [name for name, value in LIBRARIES.items() if f"`{name}={value}`" not in said] == []
