"""Tiny random vision-language checkpoints for tests: offline, reproducible, well under a second each.

```python
folder = tiny_backbone("paligemma", tmp_path)
model = AutoModelForImageTextToText.from_pretrained(folder)
processor = AutoProcessor.from_pretrained(folder)
```
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import logging

from .configs import tiny_config
from .demonstrations import write_demonstrations
from .families import FAMILIES, UNUSABLE
from .processors import tiny_processor
from .tokenizer import family_tokenizer
from .weights import randomize

__all__ = ["SUPPORTED", "UNUSABLE", "tiny_backbone", "write_demonstrations"]

SUPPORTED = tuple(name for name in FAMILIES if name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
"""Model types that `tiny_backbone` can write with the installed transformers.

`fast_vlm`, `gemma3n` and `perception_lm` need timm, `inkling_mm_model` needs scipy.
"""


def tiny_backbone(model_type: str, folder: str | Path) -> Path:
    """Write a tiny random checkpoint of one family: model, tokenizer and the family's own processor.

    Two calls write the same weights.

    Args:
        model_type: the family as transformers' configurations name it, e.g. `"qwen2_vl"`; one of `SUPPORTED`.
        folder: where to write; created if needed.

    Returns:
        The folder, for `AutoModelForImageTextToText.from_pretrained` and `AutoProcessor.from_pretrained`.

    Raises:
        ValueError: `model_type` is unknown, or listed by transformers but of no use as a backbone.
    """
    if model_type in UNUSABLE:
        raise ValueError(f"model_type {model_type!r} cannot be a backbone: {UNUSABLE[model_type]}")
    if model_type not in SUPPORTED:
        raise ValueError(f"unknown model_type {model_type!r}; tiny_backbone knows {', '.join(SUPPORTED)}")
    family = FAMILIES[model_type]
    folder = Path(folder)
    with _quiet():
        tokenizer = family_tokenizer(family)
        processor = tiny_processor(model_type, family, tokenizer)  # before the config: it may add tokens
        config = tiny_config(model_type, tokenizer, {**family.tokens, **family.config_tokens}, family.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AutoModelForImageTextToText.from_config(config)
        randomize(model)
        # shieldgemma2: the published layout only loads into its classifier class
        model.save_pretrained(folder, save_original_format=model_type != "shieldgemma2")
        processor.save_pretrained(folder)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no advice about deliberately tiny settings."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
