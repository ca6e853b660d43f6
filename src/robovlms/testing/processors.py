"""The family's own processor class over a tiny tokenizer and an image processor for tiny images."""

import transformers
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from .families import Family
from .tokenizer import tiny_tokenizer

PARTS = {
    "image_processor": IMAGE_PROCESSOR_MAPPING_NAMES,
    "video_processor": VIDEO_PROCESSOR_MAPPING_NAMES,
    "feature_extractor": FEATURE_EXTRACTOR_MAPPING_NAMES,
}


def tiny_processor(model_type: str, family: Family, tokenizer: PreTrainedTokenizerBase) -> ProcessorMixin:
    """The processor of `model_type`; it may add the family's own tokens to `tokenizer`."""
    processor_class = getattr(transformers, family.classes.get("processor") or PROCESSOR_MAPPING_NAMES[model_type])
    arguments = {"image_processor": family.image, "video_processor": family.video}
    parts = {}
    for name in processor_class.get_attributes():
        if name == "tokenizer":
            parts[name] = tokenizer
        elif name == "qformer_tokenizer":
            parts[name] = tiny_tokenizer()
        else:
            part_class = family.classes.get(name) or _class_name(PARTS[name][model_type])
            parts[name] = getattr(transformers, part_class)(**arguments.get(name, {}))
    return processor_class(**parts, **family.processor)


def _class_name(names: str | dict[str, str]) -> str:
    """Image processors come as one class per back end; the torchvision one is what the Auto classes prefer."""
    return names if isinstance(names, str) else names.get("torchvision") or names["pil"]
