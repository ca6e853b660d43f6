"""The configs of the VLAs: a backbone's config, a head's config and what joins them."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .head_configs import HeadConfig, LSTMHeadConfig, MLPHeadConfig, TokenHeadConfig, head_config_from_dict
from .saving import travels_with

if TYPE_CHECKING:  # a checkpoint's model does without it
    from .action_contract import ActionContract

TokenSource = Literal["action", "all", "vision", "text"]
"""What feeds an action head: action tokens, or the hidden states of a frame's tokens."""


@strict
class RoboVLMConfig(PreTrainedConfig):
    r"""Base config of every VLA.

    Args:
        vlm_config (`dict` or `PreTrainedConfig`): config of the vision-language backbone, any family of
            `AutoModelForImageTextToText`.
        head_config (`dict` or `HeadConfig`): the action head.
        action_dim (`int`): dimensions of one action.
        gripper_dims (`list[int]`): indices of the on/off dimensions of the action, the others are the pose. None: the last.
        chunk_size (`int`): actions predicted at once.
        window_size (`int`): observations seen at once.
        num_action_tokens (`int`): learnable action tokens per observation.
        state_dim (`int`): width of the proprioceptive state, 0 for none.
        grounding_dim (`int`): width of an auxiliary prediction from the action features (for example the positions
            of the objects that the instruction names), 0 for none.
        grounding_loss_weight (`float`): its weight in the loss.
        text_loss_weight (`float`): weight of the text loss in the loss, where image-text samples are given (co-training).
        token_source (`str`): what feeds the head: "action" tokens, or the hidden states of "all", "vision" or "text"
            tokens, max-pooled to `num_action_tokens`.

    Raises:
        StrictDataclassError: of huggingface_hub, naming the field, for a wrong type or an inconsistent value.
        ValueError, TypeError: for an unknown head, or a field of another name.
    """

    sub_configs_defaults: ClassVar = {"vlm_config": SubConfigSpec(config_class=AutoConfig, model_type="paligemma")}
    default_head: ClassVar[type[HeadConfig]]
    structure: ClassVar[str] = ""
    # Of a forward in evaluation the Trainer gathers `actions` for `compute_metrics`, or the discrete structure's `logits`.
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        *("pose", "gripper_logits", "grounding", "action_features"),
        *("pose_loss", "gripper_loss", "grounding_loss", "text_loss"),
        *("token_accuracy", "dimension_accuracy", "action_l1"),
    ]

    vlm_config: dict | PreTrainedConfig | None = None
    head_config: dict | HeadConfig | None = None
    action_dim: int = 7
    gripper_dims: list[int] | tuple[int, ...] | None = None
    chunk_size: int = 10
    window_size: int = 1
    num_action_tokens: int = 1
    state_dim: int = 0
    grounding_dim: int = 0
    grounding_loss_weight: float = 1.0
    text_loss_weight: float = 1.0
    token_source: TokenSource = "action"

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
        if isinstance(self.vlm_config, dict):
            require_known_model_type(self.vlm_config, "vlm_config")
        dims = (-1,) if self.gripper_dims is None else self.gripper_dims
        self.gripper_dims = sorted(dim + self.action_dim if dim < 0 else dim for dim in dims)
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        for name in ("action_dim", "chunk_size", "window_size", "num_action_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{type(self).__name__}.{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("state_dim", "grounding_dim"):
            if getattr(self, name) < 0:
                raise ValueError(f"{type(self).__name__}.{name} must not be negative, got {getattr(self, name)}.")
        grippers = set(self.grippers)
        if not grippers < set(range(self.action_dim)) or len(grippers) != len(self.grippers):
            raise ValueError(
                f"{type(self).__name__}.gripper_dims = {self.gripper_dims} must be distinct indices below action_dim = "
                f"{self.action_dim} and leave at least one pose dimension."
            )
        if self.head.writes_tokens != self.default_head.writes_tokens:
            raise ValueError(
                f"{type(self).__name__}.head_config = {self.head.type!r} makes no sense in the structure "
                f"{self.structure!r}: the 'token' head belongs to 'one_step_discrete', the others to continuous ones."
            )
        if self.token_source != "action" and self.state_dim:
            raise ValueError(
                f"{type(self).__name__}.token_source = {self.token_source!r} cannot carry a state (state_dim = "
                f"{self.state_dim}): the state enters through the action tokens."
            )

    @property
    def vlm(self) -> PreTrainedConfig:
        """`vlm_config` as transformers has built it."""
        if not isinstance(self.vlm_config, PreTrainedConfig):
            raise TypeError(
                f"{type(self).__name__}.vlm_config must be a config, got {type(self.vlm_config).__name__}."
            )
        return self.vlm_config

    @property
    def head(self) -> HeadConfig:
        """`head_config` as it was built from its dict."""
        if not isinstance(self.head_config, HeadConfig):
            raise TypeError(
                f"{type(self).__name__}.head_config must be a head, got {type(self.head_config).__name__}."
            )
        return self.head_config

    @property
    def grippers(self) -> list[int]:
        """`gripper_dims`, counted from the first dimension, in order."""
        return list(self.gripper_dims or ())

    @property
    def pose_dims(self) -> list[int]:
        """Indices of the dimensions of the action that are not grippers."""
        return [dim for dim in range(self.action_dim) if dim not in self.grippers]

    @travels_with()
    @classmethod
    def from_contract(cls, contract: "ActionContract", vlm_config: PreTrainedConfig | dict, **fields: Any) -> Self:
        """Return a config whose action, chunk, window and state sizes are those of `contract`."""
        return cls.checked(vlm_config=vlm_config, **(contract.model_sizes | fields))

    @travels_with()
    @classmethod
    def checked(cls, **fields: Any) -> Self:
        """Make a config of the given fields. Unlike the constructor, which must take what transformers writes into
        config.json, it refuses every name that is not a field; TypeError."""
        if unknown := sorted(set(fields) - set(cls.__dataclass_fields__)):
            known = [name for name in cls.__dataclass_fields__ if not name.startswith("_")]
            close = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{cls.__name__} has no field {unknown[0]!r}.{hint}")
        return cls(**fields)

    def get_text_config(self, *args, **kwargs):
        return self.vlm.get_text_config(*args, **kwargs)

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


def require_known_model_type(config: dict[str, Any], name: str) -> None:
    """Refuse the config of a model that nobody has made known to transformers; ValueError.

    Args:
        config: as in `config.json`.
        name: what it is the config of, for the message.
    """
    model_type = config.get("model_type")
    if model_type is not None and model_type not in CONFIG_MAPPING and "auto_map" not in config:
        raise ValueError(
            f"{name}: transformers knows no model type {model_type!r}. If it is one of your own, import the module that "
            "registers it first; on the command line with --import MODULE."
        )


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
    default_head: ClassVar[type[HeadConfig]] = MLPHeadConfig

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


@strict
class InterleavedContinuousConfig(RoboVLMConfig):
    """Observations and action tokens of the whole window in one sequence of the VLM.

    Args:
        frame_attention: "window": the last `window_size` frames are one causal sequence (the paper's). "banded": each
            frame attends to itself and to what the `window_size - 1` frames before it left in the attention's keys
            and values, on stretches of any length; a control step then costs one frame.
        instruction_frames: "every" frame carries the instruction (the original's), or only the "first" of the window.
    """

    model_type = "robovlms_interleaved_continuous"
    structure: ClassVar[str] = "interleaved_continuous"
    default_head: ClassVar[type[HeadConfig]] = MLPHeadConfig

    window_size: int = 8
    frame_attention: Literal["window", "banded"] = "window"
    instruction_frames: Literal["every", "first"] = "every"

    def validate_architecture(self):
        super().validate_architecture()
        if self.frame_attention == "banded" and self.instruction_frames == "first":
            raise ValueError(
                "InterleavedContinuousConfig.instruction_frames must be 'every' where frame_attention is 'banded': the "
                "first frame leaves the band, and the instruction would leave with it."
            )
        if self.token_source != "action":
            raise ValueError(
                f"InterleavedContinuousConfig.token_source must be 'action', got {self.token_source!r}: in one "
                "sequence only action tokens tell the frames apart."
            )


@strict
class OneStepDiscreteConfig(RoboVLMConfig):
    """One observation in, a chunk of actions out as tokens of the VLM's vocabulary.

    Args:
        action_tokenizer: "uniform" (a bin per dimension and step) or "fast" (compressed chunks).
        action_token_ids: the vocabulary's ids of the action tokens; uniform bins in order, from -1 to +1.
        decoding: "autoregressive" or "parallel" (all tokens in one pass; uniform bins only).
        restricted: whether decoding chooses among action tokens only. False: among the whole vocabulary, where ids
            beyond the bins count as the outermost one, as in the original release (uniform bins only).
        stop_token_id: ends a sequence of tokens whose number varies ("fast").
        action_token_lengths: how many of a chunk's `chunk_size * action_dim` coefficients each action token stands for
            ("fast"): decoding then writes whole chunks only. None: not known, as with published encodings.
        num_action_tokens: tokens per chunk; `chunk_size * action_dim` with uniform bins, the longest otherwise.
    """

    model_type = "robovlms_one_step_discrete"
    structure: ClassVar[str] = "one_step_discrete"
    default_head: ClassVar[type[HeadConfig]] = TokenHeadConfig

    action_tokenizer: Literal["uniform", "fast"] = "uniform"
    action_token_ids: list[int] | tuple[int, ...] = ()
    decoding: Literal["autoregressive", "parallel"] = "autoregressive"
    restricted: bool = True
    stop_token_id: int | None = None
    action_token_lengths: list[int] | tuple[int, ...] | None = None

    def __post_init__(self, **kwargs):
        if self.action_tokenizer == "uniform":
            self.num_action_tokens = self.chunk_size * self.action_dim
        self.action_token_ids = list(self.action_token_ids)
        if self.action_token_lengths is not None:
            self.action_token_lengths = list(self.action_token_lengths)
        super().__post_init__(**kwargs)
        # Where PEFT looks, to train rows that the embedding and the output layer share.
        self.tie_word_embeddings = bool(getattr(self.vlm_config, "tie_word_embeddings", False))

    def validate_architecture(self):
        super().validate_architecture()
        if len(set(self.action_token_ids)) != len(self.action_token_ids):
            raise ValueError("OneStepDiscreteConfig.action_token_ids holds an id twice.")
        if self.state_dim or self.grounding_dim:
            raise ValueError(
                "OneStepDiscreteConfig has no action features: state_dim and grounding_dim must be 0, got "
                f"{self.state_dim} and {self.grounding_dim}."
            )
        if self.action_tokenizer == "fast" and (self.is_parallel or self.stop_token_id is None):
            raise ValueError(
                "OneStepDiscreteConfig: action_tokenizer = 'fast' writes chunks of varying length: it needs decoding = "
                f"'autoregressive' and a stop_token_id, got {self.decoding!r} and {self.stop_token_id}."
            )
        lengths = self.action_token_lengths
        if lengths is not None and (len(lengths) != len(self.action_token_ids) or min(lengths) != 1):
            raise ValueError(
                "OneStepDiscreteConfig.action_token_lengths must hold a length for each of the "
                f"{len(self.action_token_ids)} action tokens, the shortest being 1; got {len(lengths)} lengths from "
                f"{min(lengths, default=0)}."
            )
        if not self.restricted and (self.is_parallel or not self.is_uniform):
            raise ValueError("OneStepDiscreteConfig.restricted = False is for autoregressive uniform bins only.")

    @property
    def is_parallel(self) -> bool:
        return self.decoding == "parallel"

    @property
    def is_uniform(self) -> bool:
        return self.action_tokenizer == "uniform"
