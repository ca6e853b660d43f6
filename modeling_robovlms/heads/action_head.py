"""A head: a history that fuses the features over the window, and a decoder that makes a chunk of actions of what it
leaves. Which modules these are is registered by their configs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from ...configuration.configuration_robovlms import RoboVLMConfig
from ...configuration.head_configs import HeadConfig, HistoryConfig, register_head_config, register_history_config
from ..backbone import forward_names
from ..streaming import VLACache
from .overlap import ChunkOverlap

Generators = torch.Generator | Sequence[torch.Generator | None] | None
"""Where random numbers come from: one for all rows, or one per row; None: torch's own."""


@dataclass
class HeadOutput:
    """A chunk per frame; losses where there were targets. Shapes as in `VLAOutput`."""

    actions: torch.Tensor | None = None
    pose: torch.Tensor | None = None
    gripper_logits: torch.Tensor | None = None
    loss: torch.Tensor | None = None
    pose_loss: torch.Tensor | None = None
    gripper_loss: torch.Tensor | None = None

    @property
    def newest_actions(self) -> torch.Tensor:
        """The newest frame's chunk `(batch, chunk, action_dim)`; ValueError if a decoder without targets gave none."""
        if self.actions is None:
            raise ValueError("The head's decoder was given no targets and returned no actions.")
        return self.actions[:, -1]


@dataclass
class ActionTargets:
    """Normalised actions `(batch, window, chunk, action_dim)`, which of them count `(batch, window, chunk)`, and the
    number of counting ones over which losses are averaged (over all micro-batches and processes of one update)."""

    actions: torch.Tensor
    valid: torch.Tensor
    num_items: torch.Tensor | int

    def weights(self, dims: list[int], dim_mask: torch.Tensor | None) -> torch.Tensor:
        """How much each number counts in a mean over `dims`, `(batch, window, chunk, action_dim)`: every action as much,
        whatever number of them its robot has (`dim_mask` `(batch, action_dim)`)."""
        if dim_mask is None:
            return self.valid[..., None].expand_as(self.actions)
        own = torch.zeros_like(dim_mask)
        own[:, dims] = dim_mask[:, dims]
        scale = len(dims) / own.sum(dim=1, keepdim=True).clamp(min=1)
        return self.valid[..., None] * (own * scale)[:, None, None]

    def where_there(self, loss: torch.Tensor, dims: list[int], dim_mask: torch.Tensor | None) -> torch.Tensor | None:
        """A part of the loss averaged over the actions of robots that have any of `dims`, for the log; None without any."""
        if dim_mask is None:
            return loss
        count = self.valid.flatten(1).sum(dim=1)
        share = count[dim_mask[:, dims].any(dim=1)].sum() / count.sum().clamp(min=1)
        return loss / share if share > 0 else None


class History(nn.Module):
    """Fuses the features of the window's frames. Subclass it and `register_history`.

    Args:
        config: the VLA's, for sizes.
        history: the config that it is registered for.
        width: of a frame's features.

    A subclass sets `hidden_size`, the width of its contexts.
    """

    hidden_size: int

    def __init__(self, config: RoboVLMConfig, history: Any, width: int):
        super().__init__()

    def forward(self, features: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
        """`features` `(batch, window, width)` to contexts `(batch, window, hidden_size)`. A frame's context depends on
        itself and the real frames before it, of which `frame_mask` `(batch, window)` says which there are."""
        raise NotImplementedError

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        """Empty entries for a `VLACache`, a row per episode; zeros mean "nothing seen yet"."""
        return {}

    def step(self, features: torch.Tensor, cache: VLACache) -> torch.Tensor:
        """The context `(batch, hidden_size)` of one new frame's `features` `(batch, width)`: what `forward` gives for the
        newest frame of the window that ends there. Updates `cache`."""
        raise NotImplementedError


class Decoder(nn.Module):
    """Makes chunks of contexts, and has the loss. Subclass it and `register_head`.

    Args:
        config: the VLA's, for sizes.
        head: the config that it is registered for.
        hidden_size: width of a context.
    """

    def __init__(self, config: RoboVLMConfig, head: Any, hidden_size: int):
        super().__init__()
        self.config = config

    def forward(
        self,
        context: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: Generators = None,
        overlap: ChunkOverlap | None = None,
        dim_mask: torch.Tensor | None = None,
    ) -> HeadOutput:
        """Contexts `(batch, window, hidden_size)` to chunks `(batch, window, chunk, action_dim)`, or with `targets` to
        losses. Random numbers come from `generator`, one or one per row; what is known of a chunk beforehand is in
        `overlap`, which is for one frame per row. `dim_mask` `(batch, action_dim)` says which dimensions the robots have;
        it is given where some lack some."""
        raise NotImplementedError


class ActionHead(nn.Module):
    """Joins a history module and a decoder.

    Args:
        history: what fuses the window.
        decoder: what makes a chunk of it.
    """

    def __init__(self, history: History, decoder: Decoder):
        super().__init__()
        self.history: History = history
        self.decoder: Decoder = decoder

    @property
    def dtype(self) -> torch.dtype:
        """What features are cast to: the heads stay in float32 over a backbone in half precision."""
        return next(self.parameters()).dtype

    def forward(
        self,
        features: torch.Tensor,
        frame_mask: torch.Tensor,
        targets: ActionTargets | None = None,
        generator: Generators = None,
        dim_mask: torch.Tensor | None = None,
    ) -> HeadOutput:
        """`features` `(batch, window, num_action_tokens, hidden)`; False in `frame_mask` marks frames before the
        episode's start, which come first in a window; in `dim_mask` `(batch, action_dim)` what a robot lacks."""
        context = self.history(features.flatten(2), frame_mask)
        return self._decode(context, targets=targets, generator=generator, dim_mask=dim_mask)

    def _decode(self, context: torch.Tensor, dim_mask: torch.Tensor | None = None, **options: Any) -> HeadOutput:
        """The decoder's output, zero where a robot has no such dimension; only then a decoder needs a `dim_mask`,
        and ValueError if it takes none."""
        if dim_mask is None:
            return self.decoder(context, **options)
        if "dim_mask" not in forward_names(type(self.decoder)):
            raise ValueError(
                f"The forward of {type(self.decoder).__name__} takes no dim_mask: this head cannot serve a robot that "
                "lacks dimensions of the model's action."
            )
        output = self.decoder(context, dim_mask=dim_mask, **options)
        if output.actions is not None:
            output.actions = output.actions * dim_mask[:, None, None]
        return output

    def newest(self, features: torch.Tensor, frame_mask: torch.Tensor, **sampling: Any) -> torch.Tensor:
        """The newest frame's chunk alone, `(batch, chunk, action_dim)`; `sampling`: what a decoder takes beside targets."""
        context = self.history(features.flatten(2), frame_mask)
        return self._decode(context[:, -1:], **sampling).newest_actions

    def new_state(self, batch: int) -> dict[str, torch.Tensor]:
        """Empty entries for a `VLACache`."""
        return self.history.new_state(batch)

    def step(self, features: torch.Tensor, cache: VLACache, **sampling: Any) -> HeadOutput:
        """One new frame's `features` `(batch, 1, num_action_tokens, hidden)`: what `forward` would give for the
        newest frame of the window that ends there. Updates `cache`."""
        context = self.history.step(features.flatten(2)[:, 0], cache)
        return self._decode(context[:, None], **sampling)


HistoryClass = TypeVar("HistoryClass", bound=type[History])
DecoderClass = TypeVar("DecoderClass", bound=type[Decoder])

HISTORIES: dict[str, type[History]] = {}
"""By the names of their configs' classes: transformers may load a checkpoint's code twice, with classes of its own each."""
DECODERS: dict[str, type[Decoder]] = {}
"""In the same way."""


def register_history(config: type[HistoryConfig]) -> Callable[[HistoryClass], HistoryClass]:
    """Class decorator: use this `History` for that config and those derived from it. The config becomes known by its
    `type`, if it has one."""

    def register(history: HistoryClass) -> HistoryClass:
        if hasattr(config, "type"):
            register_history_config(config)
        HISTORIES[config.__name__] = history
        return history

    return register


def register_head(config: type[HeadConfig]) -> Callable[[DecoderClass], DecoderClass]:
    """Class decorator: use this `Decoder` for that head's config and those derived from it. The config becomes known by
    its `type`, if it has one."""

    def register(decoder: DecoderClass) -> DecoderClass:
        if hasattr(config, "type"):
            register_head_config(config)
        DECODERS[config.__name__] = decoder
        return decoder

    return register


def choose_module(config: HeadConfig | HistoryConfig, registered: Mapping[Any, Any]) -> Any:
    """What is registered for the config's class, or the nearest that it derives from.

    Raises:
        ValueError: if there is nothing.
    """
    for cls in type(config).__mro__:
        if cls.__name__ in registered:
            return registered[cls.__name__]
    raise ValueError(
        f"No module is registered for {type(config).__name__}, only for {sorted(registered)}: import "
        "the module that registers it."
    )


def build_head(config: RoboVLMConfig, feature_dim: int) -> ActionHead:
    """The head of `config.head_config`, for action tokens of `feature_dim` numbers each."""
    head = config.head
    history: History = choose_module(head.history_config, HISTORIES)(
        config, head.history_config, feature_dim * config.num_action_tokens
    )
    return ActionHead(history, choose_module(head, DECODERS)(config, head, history.hidden_size))
