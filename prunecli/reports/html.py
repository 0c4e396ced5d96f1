"""The HTML page of a run: one self-contained file, inline SVG, no script."""

from importlib import resources
from typing import Any

import jinja2


def training_page(record: dict[str, Any]) -> str:
    """Render the page of a `train-masks` record (the content of `run.json`)."""
    template = resources.files(__package__).joinpath("training_page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(**record)
