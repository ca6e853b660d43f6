"""What a VLA's forward returns."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class VLAOutput(ModelOutput):
    """Output of a VLA.

    Args:
        loss: what training minimises, a scalar; None without labels.
        pose_loss, gripper_loss, grounding_loss: its parts before weighting.
        text_loss: cross-entropy per text token of the image-text samples that were given along with the actions.
        actions: normalised actions `(batch, window, chunk, action_dim)`; grippers in (-1, 1), +1 is open.
        pose: the pose dimensions `(batch, window, chunk, pose_dim)`.
        gripper_logits: logits of "open" `(batch, window, chunk, num_grippers)`.
        grounding: auxiliary prediction `(batch, window, grounding_dim)`.
        action_features: hidden states of the action tokens `(batch, window, num_action_tokens, hidden_size)`.
        logits: vocabulary logits of the discrete structure `(batch, sequence, vocabulary)`.
        token_accuracy, dimension_accuracy: share of action tokens predicted right, in all and per dimension of the
            action `(action_dim,)`.
        action_l1: mean distance between the normalised actions that predicted and wanted tokens decode to.
    """

    loss: torch.FloatTensor | None = None
    pose_loss: torch.FloatTensor | None = None
    gripper_loss: torch.FloatTensor | None = None
    grounding_loss: torch.FloatTensor | None = None
    text_loss: torch.FloatTensor | None = None
    actions: torch.FloatTensor | None = None
    pose: torch.FloatTensor | None = None
    gripper_logits: torch.FloatTensor | None = None
    grounding: torch.FloatTensor | None = None
    action_features: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    token_accuracy: torch.FloatTensor | None = None
    dimension_accuracy: torch.FloatTensor | None = None
    action_l1: torch.FloatTensor | None = None
