"""Between a trained checkpoint and its readers: the doctor that examines it, what must not leave, and the push."""

from .loading import load_checkpoint

__all__ = ["load_checkpoint"]
