"""Which backbone families are known to work, as measured: the last recorded run of `pytest -m matrix`."""

import json
from importlib.resources import files
from typing import Any

from .page import render_page

__all__ = ["load_matrix", "render_page"]


def load_matrix() -> dict[str, Any]:
    """Return the recorded run.

    Returns:
        `transformers` and `torch`, the versions it ran on; `structures`, their names; `families`, by model type, with
        `status` ("ok" or "failed"), `structures` (name to `status` "ok", "refused" or "failed" and `reason`),
        `tokens_per_image` (what one image of 224 x 224 pixels adds to a prompt, with the default settings of the
        family's own classes; None where these are incomplete), `cameras` (how many a prompt may hold, None for any
        number), `images_learn` (whether a gradient reaches the pixels), `quirks` and `hub_ids`; `unusable`, families
        that transformers lists and that cannot be backbones, with the reason; `original`, the backbones of the original
        release.
    """
    return json.loads((files(__name__) / "matrix.json").read_text())
