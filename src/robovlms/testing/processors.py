"""The family's own processor class over a tiny tokenizer and an image processor for tiny images."""

from copy import deepcopy
from typing import Any

import transformers
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.auto import (
    feature_extraction_auto,
    image_processing_auto,
    processing_auto,
    video_processing_auto,
)

from .family import Family
from .tokenizer import tiny_tokenizer

# part of a processor -> model type -> name of its class
PARTS: dict[str, Any] = {
    "processor": vars(processing_auto)["PROCESSOR_MAPPING_NAMES"],
    "image_processor": vars(image_processing_auto)["IMAGE_PROCESSOR_MAPPING_NAMES"],
    "video_processor": vars(video_processing_auto)["VIDEO_PROCESSOR_MAPPING_NAMES"],
    "feature_extractor": vars(feature_extraction_auto)["FEATURE_EXTRACTOR_MAPPING_NAMES"],
}


def tiny_processor(model_type: str, family: Family, tokenizer: PreTrainedTokenizerBase) -> ProcessorMixin:
    """Return the processor of `model_type`; it may add the family's own tokens to `tokenizer`."""
    processor_class = _part_class("processor", model_type, family)
    arguments = {"image_processor": family.image, "video_processor": family.video}
    parts: dict[str, Any] = {}
    for name in processor_class.get_attributes():
        if name == "tokenizer":
            parts[name] = tokenizer
        elif name == "qformer_tokenizer":
            parts[name] = tiny_tokenizer()
        else:
            parts[name] = _part_class(name, model_type, family)(**deepcopy(dict(arguments.get(name, {}))))
    return processor_class(**parts, **deepcopy(dict(family.processor)))


def _part_class(name: str, model_type: str, family: Family) -> Any:
    """The family's own choice, else the Auto classes': of one class per image back end they prefer torchvision's."""
    class_name = family.classes.get(name) or PARTS[name][model_type]
    if isinstance(class_name, dict):
        class_name = class_name.get("torchvision") or class_name["pil"]
    return getattr(transformers, class_name)
