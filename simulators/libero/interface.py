"""What policies see of LIBERO and do in it, as published evaluations have it.

Sources: github.com/openvla/openvla experiments/robot/libero, github.com/Physical-Intelligence/openpi examples/libero,
github.com/huggingface/lerobot envs/libero.py; they agree on all of it.
"""

import numpy as np

CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Our name of a camera -> the simulator's."""
CONTROL_FREQUENCY = 20.0
ACTION_NAMES = ("x", "y", "z", "rx", "ry", "rz", "gripper")
"""Displacement (1 is 5 cm) and rotation vector (1 is 0.5 rad) of the hand; the gripper opens at -1 and closes at 1."""
STATE_NAMES = ("x", "y", "z", "rx", "ry", "rz", "finger_left", "finger_right")
"""Position (m) and rotation vector (rad) of the hand, and both fingers' positions (m)."""
OPEN, CLOSED = -1.0, 1.0
SETTLE_STEPS = 10
"""Actions without motion before the policy's first one: objects are let go a little above where they come to rest."""
MAX_STEPS = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520, "libero_90": 400}
"""Actions of the policy, those of settling not counted."""


def axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation vector (3,) of a quaternion (x, y, z, w), as published policies' states have it: of q and
    -q, which are the same rotation, the one that is given counts, so angles reach up to 2 pi."""
    w = float(np.clip(quaternion[3], -1.0, 1.0))
    sine = np.sqrt(1.0 - w * w)
    if np.isclose(sine, 0.0):
        return np.zeros(3)
    return np.asarray(quaternion[:3]) * 2.0 * np.arccos(w) / sine
