"""Actions and observations of CALVIN: names, units and scales."""

import numpy as np

CONTROL_FREQUENCY = 30.0
"""Actions per second."""
PHYSICS_FREQUENCY = 240
POSITION_SCALE = 0.02
"""Metres that the target moves for an action of 1."""
ROTATION_SCALE = 0.05
"""Radians that each Euler angle of the target turns for an action of 1."""

CAMERAS = {"static": 200, "gripper": 84}
"""Camera -> width and height of its images."""

ACTION_NAMES = ("x", "y", "z", "euler_x", "euler_y", "euler_z", "gripper")
ACTION_UNITS = (*("2 cm",) * 3, *("0.05 rad",) * 3, "1 open, -1 closed")
"""What an action of 1 means, by dimension, in the world frame."""

ROBOT_OBS_NAMES = (
    *("tcp_x", "tcp_y", "tcp_z", "tcp_euler_x", "tcp_euler_y", "tcp_euler_z", "gripper_width"),
    *(f"joint_{number}" for number in range(1, 8)),
    "gripper_action",
)
SCENE_OBS_SIZE = 24
"""slide, drawer, button, switch (joint values), lightbulb, led (0 or 1), three blocks (position, Euler angles)."""

BLOCK_COLORS = ("red", "blue", "pink")

STATE_LOW = np.array([*(-2.0,) * 3, *(-np.pi,) * 3, -0.1, *(-3.2,) * 7, -1.0], dtype=np.float32)
STATE_HIGH = np.array([*(2.0,) * 3, *(np.pi,) * 3, 0.2, *(4.0,) * 7, 1.0], dtype=np.float32)
"""Bounds of the observation space; what the arm reaches is inside."""
