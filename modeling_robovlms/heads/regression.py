"""Decoding by regression: one MLP for the pose, one for the grippers."""

import torch
from torch.nn import functional as F

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import RegressionHeadConfig
from .action_head import ActionTargets, Decoder, Generators, HeadOutput, register_head
from .layers import mlp
from .overlap import ChunkOverlap


@register_head(RegressionHeadConfig)
class RegressionDecoder(Decoder):
    """Pose by Huber or mean squared error, grippers by binary cross-entropy on logits."""

    def __init__(self, config: RoboVLMConfig, head: RegressionHeadConfig, hidden_size: int):
        super().__init__(config, head, hidden_size)
        self.head = head
        sizes = head.decoder_sizes
        self.pose = mlp(hidden_size, *sizes, config.chunk_size * len(config.pose_dims))
        if config.gripper_dims:
            self.gripper = mlp(hidden_size, *sizes, config.chunk_size * len(config.gripper_dims))

    def forward(
        self,
        context: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: Generators = None,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> HeadOutput:
        """`context` `(batch, window, hidden)`; deterministic, so `generator` is not used. `overlap` is for one frame
        per row: what is regressed is mixed with it."""
        config = self.config
        pose = self.pose(context).unflatten(-1, (config.chunk_size, -1))
        if self.head.pose_activation == "tanh":
            pose = torch.tanh(pose)
        actions, logits = pose, None
        if config.gripper_dims:
            logits = self.gripper(context).unflatten(-1, (config.chunk_size, -1))
            actions = pose.new_empty(*pose.shape[:-1], config.action_dim)
            actions[..., config.pose_dims] = pose
            actions[..., config.gripper_dims] = torch.tanh(logits / 2)
        if overlap is not None:
            actions = overlap.to(actions).blend(actions[:, 0])[:, None]
        output = HeadOutput(actions=actions, pose=pose, gripper_logits=logits)
        if targets is not None:
            dims = config.pose_dims
            distance = F.huber_loss if self.head.pose_loss == "huber" else F.mse_loss
            error = distance(pose, targets.actions[..., dims], reduction="none")
            error = error * targets.weights(dims, dim_mask)[..., dims]
            output.loss = output.pose_loss = error.sum() / (targets.num_items * len(dims))
            if logits is not None:
                dims = config.grippers
                is_open = (targets.actions[..., dims] > 0).to(logits.dtype)
                error = F.binary_cross_entropy_with_logits(logits, is_open, reduction="none")
                loss = (error * targets.weights(dims, dim_mask)[..., dims]).sum() / (targets.num_items * len(dims))
                output.loss = output.pose_loss + self.head.gripper_loss_weight * loss
                output.gripper_loss = targets.where_there(loss, dims, dim_mask)
        return output
