"""The templates beside this file."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

ENVIRONMENT = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
ENVIRONMENT.filters["percent"] = lambda share: f"{100 * share:.1f} %"
ENVIRONMENT.filters["number"] = lambda value: f"{value:.4g}"


def template(name: str) -> str:
    """Return the text of a template."""
    return Path(__file__).with_name(f"{name}.md.jinja").read_text(encoding="utf-8")


def section(name: str, **facts: Any) -> str:
    """Return a rendered part of a card; a fact that the template names and nobody gives is an error."""
    return ENVIRONMENT.from_string(template(name)).render(**facts).strip()
