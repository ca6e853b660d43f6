"""Robots behind LeRobot's `Robot` interface: how their features map to a contract, and the loop that runs them."""

from .interface import Robot
from .mapping import RobotMapping
from .runner import RobotRollout, RobotRunner

__all__ = ["Robot", "RobotMapping", "RobotRollout", "RobotRunner"]
