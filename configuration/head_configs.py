"""One small config per action head. A VLA's config holds one of them as `head_config`.

A head is a history, which fuses the features of the window's frames, and a decoder, which makes a chunk of actions of
the fused context. Regression heads are named after their history ("mlp", "lstm", "gru", "transformer") and hold its
fields beside their own; heads that sample ("diffusion", "flow_matching") hold the history as a record of its own.

A head of one's own registers its configs along with its modules: docs/adding_a_head.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from .serialization import StrictRecord


@dataclass(frozen=True)
class TypedRecord(StrictRecord):
    """A record whose `type` names its class in JSON."""

    type: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type, **super().to_dict()}

    def require_positive(self, *names: str) -> None:
        """Raises ValueError naming the first field that is not above zero."""
        for name in names:
            if getattr(self, name) <= 0:
                raise ValueError(f"{type(self).__name__}.{name} must be positive, got {getattr(self, name)}.")

    def require_fraction(self, name: str) -> None:
        """Raises ValueError if the field lies outside [0, 1)."""
        if not 0 <= getattr(self, name) < 1:
            raise ValueError(f"{type(self).__name__}.{name} must lie in [0, 1), got {getattr(self, name)}.")


RecordClass = TypeVar("RecordClass", bound=type[TypedRecord])


def register_type(record: RecordClass, known: dict[str, Any]) -> RecordClass:
    """Make a record known by its `type`.

    Raises:
        ValueError: if another class has that name.
    """
    other = known.get(record.type, record)
    if (other.__module__, other.__qualname__) != (record.__module__, record.__qualname__):
        raise ValueError(f"{record.__qualname__}.type = {record.type!r} is the name of {other.__qualname__} already.")
    known[record.type] = record
    return record


# What fuses the window.


@dataclass(frozen=True)
class HistoryConfig(TypedRecord):
    """Base of the history configs.

    Args:
        hidden_size: width of the context per action token.
    """

    hidden_size: int = 1024

    def validate(self) -> None:
        super().validate()
        self.require_positive("hidden_size")


HistoryConfigClass = TypeVar("HistoryConfigClass", bound=type[HistoryConfig])

HISTORY_CONFIGS: dict[str, type[HistoryConfig]] = {}
"""By `type`."""


def register_history_config(config: HistoryConfigClass) -> HistoryConfigClass:
    """Make a history known by its `type`, which is what config.json says of it."""
    return register_type(config, HISTORY_CONFIGS)


@register_history_config
@dataclass(frozen=True)
class MLPHistoryConfig(HistoryConfig):
    """No history: each frame by itself."""

    type: ClassVar[str] = "mlp"


@dataclass(frozen=True)
class RecurrentHistoryConfig(HistoryConfig):
    """What LSTM and GRU have in common. Dropout acts between layers."""

    num_layers: int = 4
    dropout: float = 0.0

    def validate(self) -> None:
        super().validate()
        self.require_positive("num_layers")
        self.require_fraction("dropout")


@register_history_config
@dataclass(frozen=True)
class LSTMHistoryConfig(RecurrentHistoryConfig):
    """An LSTM over the window."""

    type: ClassVar[str] = "lstm"


@register_history_config
@dataclass(frozen=True)
class GRUHistoryConfig(RecurrentHistoryConfig):
    """A GRU over the window."""

    type: ClassVar[str] = "gru"


@register_history_config
@dataclass(frozen=True)
class TransformerHistoryConfig(HistoryConfig):
    """A causal transformer (GPT-2) over the window. `num_heads` attention heads must divide `hidden_size`."""

    type: ClassVar[str] = "transformer"
    num_layers: int = 8
    num_heads: int = 8
    dropout: float = 0.1

    def validate(self) -> None:
        super().validate()
        self.require_positive("num_layers", "num_heads")
        self.require_fraction("dropout")
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"{type(self).__name__}.num_heads = {self.num_heads} must divide hidden_size = {self.hidden_size}."
            )


# What makes a chunk of it.


@dataclass(frozen=True)
class HeadConfig(TypedRecord):
    """Base of the head configs."""

    samples: ClassVar[bool] = False
    """Whether chunks are drawn from noise, so that they can be guided towards a running one."""
    writes_tokens: ClassVar[bool] = False
    """Whether actions are tokens of the vocabulary."""

    @property
    def history_config(self) -> HistoryConfig:
        """What fuses the window for this head."""
        raise NotImplementedError


HeadConfigClass = TypeVar("HeadConfigClass", bound=type[HeadConfig])

HEAD_CONFIGS: dict[str, type[HeadConfig]] = {}
"""By `type`."""


def register_head_config(config: HeadConfigClass) -> HeadConfigClass:
    """Make a head known by its `type`, which is what config.json says of it."""
    return register_type(config, HEAD_CONFIGS)


@dataclass(frozen=True)
class RegressionHeadConfig(HeadConfig):
    """What the heads that regress a chunk have in common: an MLP for the pose and one for the gripper.

    Args:
        decoder_sizes: hidden widths of both MLPs.
        pose_activation: "tanh" bounds the pose to (-1, 1), as the quantile normalisation does; "identity" does not.
        pose_loss: "huber" (delta 1) or "mse".
        gripper_loss_weight: weight of the gripper's binary cross-entropy beside the pose loss.
    """

    decoder_sizes: tuple[int, ...] = (1024, 512, 256)
    pose_activation: Literal["tanh", "identity"] = "tanh"
    pose_loss: Literal["huber", "mse"] = "huber"
    gripper_loss_weight: float = 0.01

    def validate(self) -> None:
        super().validate()
        if min(self.decoder_sizes, default=1) < 1:
            raise ValueError(f"{type(self).__name__}.decoder_sizes must be positive, got {self.decoder_sizes}.")
        if self.gripper_loss_weight < 0:
            raise ValueError(
                f"{type(self).__name__}.gripper_loss_weight must not be negative, got {self.gripper_loss_weight}."
            )

    @property
    def history_config(self) -> HistoryConfig:
        """The head itself: it holds its history's fields."""
        assert isinstance(self, HistoryConfig)
        return self


@register_head_config
@dataclass(frozen=True)
class MLPHeadConfig(RegressionHeadConfig, MLPHistoryConfig):
    """Each frame by itself: features -> MLP -> chunk."""


@register_head_config
@dataclass(frozen=True)
class LSTMHeadConfig(RegressionHeadConfig, LSTMHistoryConfig):
    """An LSTM over the window's features, a chunk from each of its outputs."""


@register_head_config
@dataclass(frozen=True)
class GRUHeadConfig(RegressionHeadConfig, GRUHistoryConfig):
    """A GRU over the window's features, a chunk from each of its outputs."""


@register_head_config
@dataclass(frozen=True)
class TransformerHeadConfig(RegressionHeadConfig, TransformerHistoryConfig):
    """A causal transformer over the window's features, a chunk from each of its outputs."""


@dataclass(frozen=True)
class HistoryHeadConfig(HeadConfig):
    """Base of the heads that go with any history.

    Args:
        history: what fuses the window: a `HistoryConfig`, its dict, or the name of one with default sizes.
    """

    history: HistoryConfig = LSTMHistoryConfig()

    def __post_init__(self):
        if isinstance(self.history, (str, Mapping)):
            object.__setattr__(self, "history", history_config_from_dict(self.history))
        super().__post_init__()

    @property
    def history_config(self) -> HistoryConfig:
        return self.history


@dataclass(frozen=True)
class DenoisingHeadConfig(HistoryHeadConfig):
    """What the heads that sample a chunk have in common: a small transformer over the chunk's steps that denoises it.

    Args:
        num_draws: noise levels and noises that each chunk is trained on at once: the loss of one draw is mostly chance.
            The denoiser is small beside the backbone, whose work the draws share.
        denoiser_size: width of the denoiser.
        denoiser_layers: its layers.
        denoiser_heads: its attention heads; they must divide the width.
        num_inference_steps: evaluations of the denoiser per sampled chunk.
    """

    samples: ClassVar[bool] = True
    num_draws: int = 32
    denoiser_size: int = 256
    denoiser_layers: int = 4
    denoiser_heads: int = 8
    num_inference_steps: int = 10

    def validate(self) -> None:
        super().validate()
        self.require_positive("num_draws", "denoiser_size", "denoiser_layers", "denoiser_heads", "num_inference_steps")
        if self.denoiser_size % (2 * self.denoiser_heads):
            raise ValueError(
                f"{type(self).__name__}.denoiser_size = {self.denoiser_size} must be a multiple of twice "
                f"denoiser_heads = {self.denoiser_heads}."
            )


@register_head_config
@dataclass(frozen=True)
class DiffusionHeadConfig(DenoisingHeadConfig):
    """Denoising diffusion: trained on DDPM's noise levels (cosine schedule), sampled by DDIM.

    Args:
        prediction_type: what the denoiser predicts: the clean chunk ("sample"), the noise or the velocity between them.
        num_train_timesteps: noise levels; a multiple of `num_inference_steps`.
        clip_range: while sampling, estimates of the clean chunk are clamped to [-clip_range, clip_range]; None: never.
            Widen it where normalised actions go beyond 1 (mean/std normalisation).
    """

    type: ClassVar[str] = "diffusion"
    prediction_type: Literal["sample", "epsilon", "v_prediction"] = "sample"
    num_train_timesteps: int = 100
    clip_range: float | None = 1.0

    def validate(self) -> None:
        super().validate()
        self.require_positive("num_train_timesteps", *(["clip_range"] if self.clip_range is not None else []))
        if self.prediction_type == "epsilon" and self.clip_range is None:
            raise ValueError(
                "DiffusionHeadConfig.clip_range must be set for prediction_type = 'epsilon': the estimate of the clean "
                "chunk at the noisiest level divides by almost nothing."
            )
        if self.num_train_timesteps % self.num_inference_steps:
            raise ValueError(
                f"DiffusionHeadConfig.num_train_timesteps = {self.num_train_timesteps} must be a multiple of "
                f"num_inference_steps = {self.num_inference_steps}."
            )


@register_head_config
@dataclass(frozen=True)
class FlowMatchingHeadConfig(DenoisingHeadConfig):
    """Flow matching: the denoiser predicts the velocity from actions to noise, integrated by Euler steps.

    Args:
        time_alpha: training times come from Beta(time_alpha, 1), where time 1 is pure noise: above 1 dwells on noisy
            chunks.
    """

    type: ClassVar[str] = "flow_matching"
    time_alpha: float = 1.5

    def validate(self) -> None:
        super().validate()
        self.require_positive("time_alpha")


@register_head_config
@dataclass(frozen=True)
class TokenHeadConfig(HeadConfig):
    """The backbone's own language head, which writes action tokens: the head of the discrete structure."""

    type: ClassVar[str] = "token"
    writes_tokens: ClassVar[bool] = True


def head_config_from_dict(data: Mapping[str, Any]) -> HeadConfig:
    """Return the head config that `data["type"]` names.

    Raises:
        ValueError: for an unknown head, or a field that the head does not have.
    """
    return _typed(data, HEAD_CONFIGS, "head", "head_config['type']")


def history_config_from_dict(data: Mapping[str, Any] | str) -> HistoryConfig:
    """Return the history config that `data["type"]`, or `data` itself, names.

    Raises:
        ValueError: for an unknown history, or a field that the history does not have.
    """
    data = {"type": data} if isinstance(data, str) else data
    return _typed(data, HISTORY_CONFIGS, "history", "head_config['history']['type']")


def _typed(data: Mapping[str, Any], known: Mapping[str, type], kind: str, where: str) -> Any:
    fields = dict(data)
    name = fields.pop("type", None)
    if name not in known:
        raise ValueError(
            f"Unknown {kind} {name!r}: {where} must be one of {sorted(known)}. One of your own is known once the module "
            "that registers it is imported."
        )
    return known[name].from_dict(fields)
