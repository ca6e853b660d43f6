"""Parameters that never get a gradient, frozen so that data-parallel training does not look for them."""

import re
from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

# Other modalities; choices of tokens and experts, which have no derivative; images as words, which have none either.
UNUSED_ANYWHERE = r"audio_tower|audio_tokenizer|embed_audio|video_tower|vision_tokenizer|vqmodel|indexer|e_score_correction_bias|video_patch_projection"


def unused_parameters(
    model: PreTrainedModel, family_names: str, output_layer: nn.Module | None
) -> Iterator[nn.Parameter]:
    """Yield what no loss on whole images and text reaches.

    Args:
        family_names: pattern of names of what is not used in this family; "" if all is.
        output_layer: the vocabulary's, where it is not used; its weight counts only if it is not the input embedding's.
    """
    names = "|".join(filter(None, (UNUSED_ANYWHERE, family_names)))
    unused = re.compile(rf"(^|\.)({names})(\.|$)")
    for name, parameter in model.named_parameters():
        if unused.search(name):
            yield parameter
    yield from _behind_the_features(model)
    if output_layer is not None:
        embedding = model.get_input_embeddings().weight
        yield from (parameter for parameter in output_layer.parameters() if parameter is not embedding)


def _behind_the_features(model: PreTrainedModel) -> Iterator[nn.Parameter]:
    """Yield what of vision towers is never read: attention pooling, and layers behind the last one whose output is read."""
    for module in model.modules():
        if type(module).__name__.endswith("MultiheadAttentionPoolingHead"):
            yield from module.parameters()
    chosen = getattr(model.config, "vision_feature_layer", getattr(model.config, "vision_feature_layers", None))
    layers = next(
        (m for n, m in model.named_modules() if re.search(r"(vision|image)_tower.*encoder\.layers$", n)), None
    )
    if chosen is None or not isinstance(layers, nn.ModuleList) or hasattr(model.config, "deepstack_layer_map"):
        return
    chosen = [chosen] if isinstance(chosen, int) else chosen
    states = len(layers) + 1  # the embeddings', then each layer's
    last = max(index if index >= 0 else states + index for index in chosen)
    for layer in layers[last:]:
        yield from layer.parameters()
    for name, parameter in model.named_parameters():
        if re.search(r"(vision|image)_tower.*post_layernorm\.", name):
            yield parameter
