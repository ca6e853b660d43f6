"""All that a checkpoint holds beside its weights: its code, its record with the golden sample; and how it is loaded."""

from typing import TYPE_CHECKING

from robovlms.configuration.lazy_imports import lazy_names

if TYPE_CHECKING:
    from .loading import load_checkpoint

__all__ = ["load_checkpoint"]

__getattr__, __dir__ = lazy_names(__name__, {".loading": ("load_checkpoint",)})
