"""HunYuan-VL."""

from typing import Any

import torch

from ..backbone import Backbone, count_positions, register_backbone


@register_backbone("hunyuan_vl")
class HunYuanVLBackbone(Backbone):
    """The last axis of its positions numbers the images; left alone it goes on counting from one row to the next."""

    unused_names = r"image_sep"  # between tiles

    def position_ids(self, inputs: dict[str, Any], start: torch.Tensor) -> torch.Tensor:
        is_image = inputs["mm_token_type_ids"] == 1
        begins = is_image & ~torch.nn.functional.pad(is_image, (1, 0))[:, :-1]
        grids = inputs["image_grid_thw"].split(begins.sum(dim=1).tolist())
        names = ("input_ids", "attention_mask", "mm_token_type_ids")
        rows = [
            count_positions(
                self.model,
                {name: inputs[name][row : row + 1] for name in names} | {"image_grid_thw": grid},
                start[row : row + 1],
            )
            for row, grid in enumerate(grids)
        ]
        return torch.cat(rows, dim=1)

    def accepted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        accepted = super().accepted(inputs)
        if inputs["attention_mask"].shape != inputs["input_ids"].shape:  # its caller gives positions
            return accepted
        start = torch.zeros(len(inputs["input_ids"]), dtype=torch.long, device=inputs["input_ids"].device)
        return accepted | {"position_ids": self.position_ids(inputs, start)}
