"""Window samples -> one batch, by the processor alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class VLACollator:
    """`DataLoader(dataset, collate_fn=VLACollator(processor))`: what the model's forward takes, as a BatchFeature.

    Example:
        loader = DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=VLACollator(processor))
        output = vla(**next(iter(loader)))
        output.loss.backward()
    """

    def __init__(self, processor):
        self.processor = processor

    def __call__(self, samples: Sequence[Mapping[str, Any]]):
        """Calls the processor with the samples' images (list of {camera: uint8 (W, H, W, 3)}), instruction and
        embodiment (lists of str), state (B, W, S), actions (B, W, n, A), action_mask (B, W, n), frame_mask (B, W)
        and, where every sample has it, grounding (B, W, G); states and actions of different widths as lists, with None
        for a sample without a state; and cropped (list of {camera: fraction}) where training cut random crops (see
        `Augmented`).

        Raises:
            KeyError: for samples without images.
            ValueError: for actions written otherwise than their contract says.
        """
        if any("images" not in sample for sample in samples):
            raise KeyError(
                f"samples have no 'images', only {sorted(samples[0])}. transformers.Trainer takes out of a dict what a "
                "model's forward does not name: let your dataset return robovlms.data.WindowSample(...), which is none, or "
                "set remove_unused_columns=False."
            )
        for sample in samples:
            self._check_transform(sample)
        batch: dict[str, Any] = {
            "images": [sample["images"] for sample in samples],
            "instruction": [sample["instruction"] for sample in samples],
            "embodiment": [sample["embodiment"] for sample in samples],
        }
        for key in ("state", "actions", "action_mask", "frame_mask", "grounding"):
            there = [key in sample for sample in samples]
            if all(there) or (key == "state" and any(there)):
                values: list[Any] = [sample.get(key) for sample in samples]
                alike = all(there) and len({np.shape(value) for value in values}) == 1
                batch[key] = np.stack(values) if alike else values  # mixtures of embodiments differ in width
        if any("cropped" in sample for sample in samples):
            batch["cropped"] = [sample.get("cropped", {}) for sample in samples]
        return self.processor(**batch)

    def _check_transform(self, sample: Mapping[str, Any]) -> None:
        """Raises ValueError where a sample's actions are not written as its contract says that the model learns them."""
        contract = getattr(self.processor, "contracts", {}).get(sample["embodiment"])
        wanted = None if contract is None or contract.transform is None else repr(contract.transform)
        if contract is not None and "actions" in sample and sample.get("transform") != wanted:
            raise ValueError(
                f"transform: actions of {sample['embodiment']!r} come as {sample.get('transform')}, the contract says "
                f"{wanted}. Open the dataset with the contract's transform (transform=contract.transform), or make the "
                "contract of this dataset (action_contract)."
            )
