"""UDOP."""

from typing import Any

import torch

from ..backbone import register_backbone
from ..encoder_decoder import EncoderDecoderBackbone
from ..packing import rows_of


@register_backbone("udop")
class UdopBackbone(EncoderDecoderBackbone):
    """The encoder reads a page, which the decoder does not see."""

    unused_names = r"decoder\.embed_patches|decoder\.relative_bias\.biases\.[12]"  # of a page

    def answer_logits(self, inputs: dict[str, Any], is_answer: torch.Tensor) -> torch.Tensor:
        """One row at a time: the image's tokens stand behind the padding, and are numbered with it."""
        read, rows = super().answer_logits, len(is_answer)
        alone = torch.eye(rows, dtype=torch.bool, device=is_answer.device)
        return torch.cat([read(rows_of(inputs, one, rows), is_answer[one]) for one in alone])
