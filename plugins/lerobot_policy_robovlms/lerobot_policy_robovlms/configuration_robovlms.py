"""Where the policy is served."""

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig


@PreTrainedConfig.register_subclass("robovlms")
@dataclass
class RobovlmsConfig(PreTrainedConfig):
    """A policy server.

    Args:
        host, port: of `robovlms serve`; a whole `ws://` or `wss://` address may be given as `host`. The token is read from
            the environment variable ROBOVLMS_TOKEN.
        timeout: seconds for one answer.
        n_action_steps: actions executed per chunk, instead of the contract's.
        cameras: the policy's cameras -> LeRobot's keys, where names differ.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    timeout: float = 30.0
    n_action_steps: int | None = None
    cameras: dict[str, str] = field(default_factory=dict)
    push_to_hub: bool = False
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY)
    )

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> None:
        return None

    @property
    def reward_delta_indices(self) -> None:
        return None

    def validate_features(self) -> None:
        """The server checks what it is sent."""

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig()

    def get_scheduler_preset(self) -> None:
        return None
