"""LeRobot plug-in: a policy of `robovlms serve`. Importing it registers the policy type "robovlms"."""

from .configuration_robovlms import RobovlmsConfig

__all__ = ["RobovlmsConfig"]
