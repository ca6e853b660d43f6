"""Pixtral's processor, which Mistral models use: Mistral Large 4 chooses which tokens to read by their number in the row,
padding included."""

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs("PixtralProcessor")
class PixtralInputs(BackboneInputs):
    """Padding goes to the right."""

    padding_side = "right"
