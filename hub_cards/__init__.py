"""Model cards, rendered from what lies in a checkpoint's folder."""

from .model_card import render_model_card, write_model_card

__all__ = ["render_model_card", "write_model_card"]
