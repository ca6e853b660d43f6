"""Policy-head structure: the VLM reads each frame by itself, the head fuses their features over time."""

from ..configuration.configuration_robovlms import PolicyHeadContinuousConfig
from .modeling_robovlms import ContinuousVLA


class PolicyHeadContinuousVLA(ContinuousVLA):
    """Frames of the window are rows of one batch for the VLM; history exists only in the head.

    A control step encodes the new frame alone, whatever the window.
    """

    config_class = PolicyHeadContinuousConfig
    config: PolicyHeadContinuousConfig


__all__ = ["PolicyHeadContinuousVLA"]
