"""The structures' configs, known to `AutoConfig`."""

from transformers import AutoConfig

from .configuration_robovlms import (
    InterleavedContinuousConfig,
    OneStepContinuousConfig,
    OneStepDiscreteConfig,
    PolicyHeadContinuousConfig,
    RoboVLMConfig,
)

STRUCTURE_CONFIGS: tuple[type[RoboVLMConfig], ...] = (
    OneStepContinuousConfig,
    OneStepDiscreteConfig,
    InterleavedContinuousConfig,
    PolicyHeadContinuousConfig,
)
for _config in STRUCTURE_CONFIGS:
    AutoConfig.register(_config.model_type, _config)
