"""Cards of models, adapters and datasets: templates, and what renders them from the files of a checkpoint."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model_card import render_model_card, write_model_card

# Loaded on first use: datasets take their template from here and need nothing of models.
_OF_MODELS = ("render_model_card", "write_model_card")
__all__ = ["render_model_card", "write_model_card"]


def __getattr__(name: str) -> Any:
    if name not in _OF_MODELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import model_card

    return getattr(model_card, name)
