"""Cards of models, adapters and datasets: templates, and what renders them from the files of a checkpoint."""

from typing import TYPE_CHECKING

from ..configuration.lazy_imports import lazy_names

if TYPE_CHECKING:
    from .model_card import render_model_card, write_model_card

__all__ = ["render_model_card", "write_model_card"]

# Imported when first asked for: datasets take their template from here and need nothing of models.
__getattr__, __dir__ = lazy_names(__name__, {".model_card": ("render_model_card", "write_model_card")})
