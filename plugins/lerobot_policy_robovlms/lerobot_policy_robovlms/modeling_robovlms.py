"""The policy as LeRobot wants it."""

import os
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor, nn

from .configuration_robovlms import RobovlmsConfig
from .served_policy import ServedPolicy


class RobovlmsPolicy(PreTrainedPolicy):
    """Sends observations to the server and returns its actions; has no weights of its own."""

    config_class = RobovlmsConfig
    name = "robovlms"

    def __init__(self, config: RobovlmsConfig, **_: Any):
        super().__init__(config)
        self.placeholder = nn.Parameter(torch.zeros(1), requires_grad=False)  # LeRobot asks it for the device
        self.served = ServedPolicy(
            config.host,
            config.port,
            token=os.environ.get("ROBOVLMS_TOKEN"),
            timeout=config.timeout,
            n_action_steps=config.n_action_steps,
            cameras=config.cameras,
        )

    def reset(self) -> None:
        self.served.reset()

    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        return torch.from_numpy(self.served.select_action(batch)).to(self.placeholder.device)

    def predict_action_chunk(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        return torch.from_numpy(self.served.predict_action_chunk(batch)).to(self.placeholder.device)

    def forward(self, batch: dict[str, Tensor], **_: Any) -> tuple[Tensor, dict | None]:
        raise NotImplementedError("a served policy is trained where it is served: robovlms train")

    def get_optim_params(self) -> list:
        raise NotImplementedError("a served policy is trained where it is served: robovlms train")
