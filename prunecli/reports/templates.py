"""Templates of this package, filled strictly: a name that a page wants and nobody gives is an error."""

from importlib import resources
from typing import Any

import jinja2

SUFFIX = ".jinja"


def fill(template: str, /, **facts: Any) -> str:
    """Fill a template; what goes into HTML is escaped.

    Args:
        template: What it makes: `model_card.md` stands in `model_card.md.jinja`.
        facts: Every name that the template has.
    """
    environment = jinja2.Environment(
        autoescape=template.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    text = resources.files(__package__).joinpath(template + SUFFIX).read_text(encoding="utf-8")
    return environment.from_string(text).render(**facts)
