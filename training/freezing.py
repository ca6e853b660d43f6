"""Which parts of a VLA's backbone are trained."""

from torch import nn

from ..modeling_robovlms import RoboVLMPreTrainedModel


def freeze(
    vla: RoboVLMPreTrainedModel,
    backbone: bool = False,
    vision_tower: bool = False,
    language_model: bool = False,
    train_last_layers: int = 0,
    embeddings: bool = False,
) -> int:
    """Freeze parts of the backbone; action tokens, state encoder and head are always trained.

    Args:
        backbone: all of it (what joins the towers too).
        vision_tower: the vision encoder.
        language_model: the text tower, word embedding included.
        train_last_layers: so many last layers of a frozen text tower, and its final norm, are trained nevertheless.
        embeddings: the word embedding (and the output layer, where it is tied to it).

    Returns:
        How many parameters are left to train.

    Raises:
        ValueError: for `train_last_layers` without a frozen text tower, or more of them than there are.
    """
    layers = text_layers(vla)
    if train_last_layers and not (language_model or backbone):
        raise ValueError("train_last_layers is about a frozen language model: set freeze_language_model too.")
    if not 0 <= train_last_layers <= len(layers):
        raise ValueError(f"train_last_layers must be 0 ... {len(layers)}, got {train_last_layers}.")
    for part, frozen in (
        (vla.backbone, backbone),
        (vla.vision_tower, vision_tower),
        (vla.text_tower, language_model),
        (vla.get_input_embeddings(), embeddings),
    ):
        if frozen:
            part.requires_grad_(False)
    if train_last_layers:
        for module in (*layers[-train_last_layers:], *_final_norm(vla.text_tower)):
            module.requires_grad_(True)
    return sum(parameter.numel() for parameter in vla.parameters() if parameter.requires_grad)


def text_layers(vla: RoboVLMPreTrainedModel) -> nn.ModuleList:
    """Return the text tower's layers, first to last."""
    count = vla.config.get_text_config().num_hidden_layers
    for module in vla.text_tower.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(vla.text_tower).__name__} has no list of {count} layers.")


def _final_norm(text_tower: nn.Module) -> list[nn.Module]:
    names = ("norm", "final_layernorm", "layer_norm", "final_layer_norm")
    return [child for name, child in text_tower.named_children() if name in names]
