"""Llama 3.2 Vision (Mllama): only images that follow each other directly are all read by the text behind them."""

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("MllamaProcessor")
class MllamaInputs(BackboneInputs):
    """Nothing between images."""

    image_separator = ""
