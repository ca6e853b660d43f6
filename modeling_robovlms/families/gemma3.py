"""Gemma 3, and ShieldGemma 2, which is one."""

from ...configuration.saving import travels_with
from ..backbone import Backbone, UnsupportedByBackbone, register_backbone


@register_backbone("gemma3", "shieldgemma2")
class Gemma3Backbone(Backbone):
    """The tokens of one image see each other, unless there is a past."""

    @travels_with("interleaved_continuous")
    def require_keys_and_values(self) -> None:
        raise UnsupportedByBackbone(
            f"frame_attention = 'banded' runs frames after a past, in which the tokens of an image in {self.family!r} "
            "no longer see each other. Use 'window'."
        )
