"""One-step structure: one observation in, one chunk out."""

from ..configuration.configuration_robovlms import OneStepContinuousConfig
from .modeling_robovlms import ContinuousVLA


class OneStepContinuousVLA(ContinuousVLA):
    """The VLM reads one observation and the instruction; the head maps its action tokens to a chunk."""

    config_class = OneStepContinuousConfig
    config: OneStepContinuousConfig


__all__ = ["OneStepContinuousVLA"]
