"""Gemma 4."""

from ...configuration.saving import travels_with
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("gemma4", "gemma4_unified")
class Gemma4Backbone(Backbone):
    """Where the text config says so, the tokens of one image see each other, unless there is a past."""

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        super().require_keys_and_values()
        if getattr(self.model.config.get_text_config(), "use_bidirectional_attention", None) is not None:
            raise UnsupportedByBackbone(
                f"frame_attention = 'banded' runs frames after a past, in which the tokens of an image in {self.family!r} "
                "no longer see each other. Use 'window'."
            )
