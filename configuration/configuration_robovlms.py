"""The configs of the VLAs: a backbone's config, a head's config and what joins them."""

import difflib
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .action_contract import ActionContract
from .head_configs import HeadConfig, LSTMHeadConfig, MLPHeadConfig, head_config_from_dict

@strict
class RoboVLMConfig(PreTrainedConfig):
    r"""Base config of every VLA.

    Args:
        vlm_config (`dict` or `PreTrainedConfig`): config of the vision-language backbone, any family of
            `AutoModelForImageTextToText`.
        head_config (`dict` or `HeadConfig`): the action head.
        action_dim (`int`): dimensions of one action.
        gripper_dims (`list[int]`): indices of the on/off dimensions of the action, the others are the pose.
        chunk_size (`int`): actions predicted at once.
        window_size (`int`): observations seen at once.
        num_action_tokens (`int`): learnable action tokens per observation.
        state_dim (`int`): width of the proprioceptive state, 0 for none.
        grounding_dim (`int`): width of an auxiliary prediction from the action features (for example the positions
            of the objects that the instruction names), 0 for none.
        grounding_loss_weight (`float`): its weight in the loss.

    Raises:
        ValueError, TypeError: naming the field.
    """

    sub_configs_defaults: ClassVar = {"vlm_config": SubConfigSpec(config_class=AutoConfig, model_type="paligemma")}
    default_head: ClassVar[type[HeadConfig]] = MLPHeadConfig
    structure: ClassVar[str] = ""

    vlm_config: dict | PreTrainedConfig | None = None
    head_config: dict | HeadConfig | None = None
    action_dim: int = 7
    gripper_dims: list[int] | tuple[int, ...] = (6,)
    chunk_size: int = 10
    window_size: int = 1
    num_action_tokens: int = 1
    state_dim: int = 0
    grounding_dim: int = 0
    grounding_loss_weight: float = 1.0

    def __post_init__(self, **kwargs):
        # Other keys belong to transformers and its tools, which write theirs into config.json.
        fields = [name for name in type(self).__dataclass_fields__ if not name.startswith("_")]
        for key in kwargs:
            close = difflib.get_close_matches(key, fields, n=1, cutoff=0.8)
            if close and key not in fields:
                raise TypeError(f"{type(self).__name__} has no field {key!r}. Did you mean {close[0]!r}?")
        if self.head_config is None:
            self.head_config = self.default_head()
        elif isinstance(self.head_config, dict):
            self.head_config = head_config_from_dict(self.head_config)
        self.gripper_dims = sorted(int(dim) % self.action_dim for dim in self.gripper_dims)
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        for name in ("action_dim", "chunk_size", "window_size", "num_action_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{type(self).__name__}.{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("state_dim", "grounding_dim"):
            if getattr(self, name) < 0:
                raise ValueError(f"{type(self).__name__}.{name} must not be negative, got {getattr(self, name)}.")
        if len(set(self.gripper_dims)) != len(self.gripper_dims) or len(self.gripper_dims) >= self.action_dim:
            raise ValueError(
                f"{type(self).__name__}.gripper_dims = {self.gripper_dims} must be distinct and leave at least one "
                f"pose dimension of action_dim = {self.action_dim}."
            )

    @property
    def pose_dims(self) -> list[int]:
        """Indices of the dimensions of the action that are not grippers."""
        return [dim for dim in range(self.action_dim) if dim not in self.gripper_dims]

    @classmethod
    def from_contract(cls, contract: ActionContract, vlm_config: PreTrainedConfig | dict, **fields: Any):
        """A config whose action, chunk, window and state sizes are those of `contract`."""
        fields = {
            "action_dim": contract.action_dim,
            "gripper_dims": list(contract.gripper_dims),
            "chunk_size": contract.chunk_size,
            "window_size": contract.window_size,
            "state_dim": contract.state_dim,
        } | fields
        return cls(vlm_config=vlm_config, **fields)

    def get_text_config(self, *args, **kwargs):
        return self.vlm_config.get_text_config(*args, **kwargs)

    @property
    def image_token_id(self) -> int | None:
        """The backbone's image placeholder id, where it has one."""
        return getattr(self.vlm_config, "image_token_id", getattr(self.vlm_config, "image_token_index", None))

    def to_dict(self) -> dict[str, Any]:
        output = super().to_dict()
        if isinstance(self.head_config, HeadConfig):
            output["head_config"] = self.head_config.to_dict()
        if not _is_hub_id(output["vlm_config"].get("_name_or_path", "")):
            output["vlm_config"].pop("_name_or_path", None)
        return output


def _is_hub_id(name: str) -> bool:
    """Whether `name` can be published: a Hub id, not a path of this machine."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not Path(name).exists()


@strict
class OneStepContinuousConfig(RoboVLMConfig):
    """One observation in, one chunk of continuous actions out."""

    model_type = "robovlms_one_step_continuous"
    structure: ClassVar[str] = "one_step_continuous"

    def validate_architecture(self):
        super().validate_architecture()
        if self.window_size != 1:
            raise ValueError(
                f"OneStepContinuousConfig.window_size must be 1, got {self.window_size}: "
                "a structure with history is PolicyHeadContinuousConfig."
            )


@strict
class PolicyHeadContinuousConfig(RoboVLMConfig):
    """Each frame of the window through the VLM by itself; a recurrent or attending head fuses them over time."""

    model_type = "robovlms_policy_head_continuous"
    structure: ClassVar[str] = "policy_head_continuous"
    default_head: ClassVar[type[HeadConfig]] = LSTMHeadConfig

    window_size: int = 8
