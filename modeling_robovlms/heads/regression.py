"""Decoding by regression: one MLP for the pose, one for the grippers."""

import torch
from torch import nn
from torch.nn import functional as F

from ...configuration.configuration_robovlms import RoboVLMConfig
from .action_head import ActionTargets, HeadOutput
from .layers import mlp
from .overlap import ChunkOverlap


class RegressionDecoder(nn.Module):
    """Pose by Huber or mean squared error, grippers by binary cross-entropy on logits."""

    def __init__(self, config: RoboVLMConfig, hidden_size: int):
        super().__init__()
        self.config = config
        sizes = config.head_config.decoder_sizes
        self.pose = mlp(hidden_size, *sizes, config.chunk_size * len(config.pose_dims))
        if config.gripper_dims:
            self.gripper = mlp(hidden_size, *sizes, config.chunk_size * len(config.gripper_dims))

    def forward(
        self,
        context: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: torch.Generator | None = None,
        overlap: ChunkOverlap | None = None,
    ) -> HeadOutput:
        """`context` `(batch, window, hidden)`; deterministic, so `generator` is not used. `overlap` is for one frame
        per row: what is regressed is mixed with it."""
        chunk = self.config.chunk_size
        pose = self.pose(context).unflatten(-1, (chunk, -1))
        if self.config.head_config.pose_activation == "tanh":
            pose = torch.tanh(pose)
        output = HeadOutput(actions=pose, pose=pose)
        if self.config.gripper_dims:
            output.gripper_logits = self.gripper(context).unflatten(-1, (chunk, -1))
            output.actions = pose.new_empty(*pose.shape[:-1], self.config.action_dim)
            output.actions[..., self.config.pose_dims] = pose
            output.actions[..., self.config.gripper_dims] = torch.tanh(output.gripper_logits / 2)
        if overlap is not None:
            output.actions = overlap.to(output.actions).blend(output.actions[:, 0])[:, None]
        return self._with_losses(output, targets) if targets is not None else output

    def _with_losses(self, output: HeadOutput, targets: ActionTargets) -> HeadOutput:
        head = self.config.head_config
        valid = targets.valid[..., None]
        distance = F.huber_loss if head.pose_loss == "huber" else F.mse_loss
        error = distance(output.pose, targets.actions[..., self.config.pose_dims], reduction="none")
        output.pose_loss = (error * valid).sum() / (targets.num_items * error.shape[-1])
        output.loss = output.pose_loss
        if output.gripper_logits is not None:
            is_open = (targets.actions[..., self.config.gripper_dims] > 0).to(output.gripper_logits.dtype)
            error = F.binary_cross_entropy_with_logits(output.gripper_logits, is_open, reduction="none")
            output.gripper_loss = (error * valid).sum() / (targets.num_items * error.shape[-1])
            output.loss = output.loss + head.gripper_loss_weight * output.gripper_loss
        return output
