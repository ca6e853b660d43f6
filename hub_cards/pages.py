"""Pages of HTML that need no other file: one base, `page.html.jinja`, which every writer's own template extends."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render_page(template: Path, filters: dict[str, Callable[..., Any]] | None = None, **facts: Any) -> str:
    """Render a page.

    Args:
        template: a file that extends `page.html.jinja` and fills its blocks `title`, `style` and `body`.
        filters: by the names under which the template uses them.
        facts: what the template tells; one that it names and nobody gives is an error. All of it is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template.name).render(**facts) + "\n"


def data_url(picture: bytes | Path, kind: str = "png") -> str:
    """Return a picture as the `src` of an image, so that the page holds it."""
    content = picture.read_bytes() if isinstance(picture, Path) else picture
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
