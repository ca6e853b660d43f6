"""Actions and observations of the tabletop environment: names, units and scales."""

import numpy as np

CONTROL_FREQUENCY = 20.0
"""Actions per second."""
POSITION_SCALE = 0.02
"""Metres that the gripper moves for an action of 1."""
ROTATION_SCALE = 0.2
"""Radians that the gripper turns for an action of 1."""

ACTION_NAMES = ("delta_x", "delta_y", "delta_z", "delta_roll", "delta_pitch", "delta_yaw", "gripper")
ACTION_UNITS = (*("2 cm",) * 3, *("0.2 rad",) * 3, "1 open, -1 closed")
"""What an action of 1 means, by dimension, in the table frame."""
STATE_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "opening")
STATE_UNITS = (*("m",) * 3, *("rad",) * 3, "m")
STATE_LOW = np.array([-1.0, -1.0, -1.0, -np.pi, -np.pi, -np.pi, -0.1], dtype=np.float32)
STATE_HIGH = np.array([1.0, 1.0, 1.0, np.pi, np.pi, np.pi, 0.2], dtype=np.float32)
"""Bounds of the observation space; the workspace is well inside."""

CAMERAS = ("static", "gripper")
WORKSPACE = np.array([(-0.34, 0.34), (-0.28, 0.19), (0.025, 0.3)])
"""Ranges of x, y and z (metres) that the gripper never leaves."""
ROTATION_LIMIT = np.array([(-0.4, 0.4), (-0.4, 0.4), (-1.2, 1.2)])
"""Ranges of roll, pitch and yaw (radians) that the gripper never leaves."""
