"""The model card of a pruned folder: a template file, and the facts that fill it."""

from importlib import resources
from typing import Any

import jinja2
import yaml

from prunecli import __version__
from prunecli.checkpoints.folder import Checkpoint

FILE = "README.md"
TEMPLATE = "model_card.md.jinja"


def render(checkpoint: Checkpoint, result: Any, run: dict[str, Any] | None) -> str:
    """Render the card.

    Args:
        checkpoint: The checkpoint that was cut; its own card's license is carried over.
        result: An `ApplyMasksResult`.
        run: What `train-masks` found, where the masks come from a run.
    """
    template = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    front = {
        "library_name": "transformers",
        **_carried(checkpoint),
        **({"base_model": run["model"]} if run and not run["model"].startswith((".", "/")) else {}),
        "tags": ["pruned", "prunecli", *([] if result.native else ["custom_code"])],
    }
    return environment.from_string(template).render(
        front=yaml.safe_dump(front, sort_keys=False).strip(), result=result, run=run, version=__version__
    )


def _carried(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return license, language and the like from the source's card."""
    path = checkpoint.path / FILE
    if not path.is_file():
        return {}
    parts = path.read_text(encoding="utf-8", errors="replace").split("---\n")
    try:
        front = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0].strip() else {}
    except yaml.YAMLError:
        return {}
    wanted = ("license", "license_name", "license_link", "language", "pipeline_tag", "datasets")
    return {key: front[key] for key in wanted if key in front} if isinstance(front, dict) else {}
