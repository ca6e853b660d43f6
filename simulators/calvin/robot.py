"""The Panda arm: inverse kinematics, motors, gripper, and what it reports of itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .assets import ROBOT

BASE_POSITION = (-0.34, -0.46, 0.24)
ARM = range(7)
FINGERS = (9, 11)
CAMERA_LINK, TCP_LINK = 14, 15
INITIAL_JOINTS = (-1.21779206, 1.03987646, 2.11978261, -2.34205014, -0.87015947, 1.64119353, 0.55344866)
INITIAL_FINGER = 0.04
LOWER = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
UPPER = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)
"""Limits of the arm's joints (radians)."""
MAX_FORCE, MAX_VELOCITY = 200.0, 2.0
OPENING_FORCE, FINGER_VELOCITY = 2.0, 1.0
OPEN, CLOSED = 1, -1


class Robot:
    """The arm in a running simulation.

    Attributes:
        body: its id.
        target: position (3,) and Euler angles (3,) to which relative actions add: it is the measured pose at the last
            reset plus all actions since, whether the arm could follow or not, and its angles are never wrapped.
        gripper_action: the last one, 1 (open) or -1 (close). A reset does not change it.
    """

    def __init__(self, bullet: Any):
        self._bullet = bullet
        self.body = bullet.loadURDF(ROBOT, basePosition=BASE_POSITION, baseOrientation=(0, 0, 0, 1), useFixedBase=True)
        self._add_pedestal()
        gear = bullet.createConstraint(
            parentBodyUniqueId=self.body,
            parentLinkIndex=FINGERS[0],
            childBodyUniqueId=self.body,
            childLinkIndex=FINGERS[1],
            jointType=bullet.JOINT_GEAR,
            jointAxis=(1, 0, 0),
            parentFramePosition=(0, 0, 0),
            childFramePosition=(0, 0, 0),
        )
        bullet.changeConstraint(gear, gearRatio=-1, erp=0.1, maxForce=50)
        self.target = np.zeros(3), np.zeros(3)
        self.gripper_action = OPEN

    def reset(self, joints: Sequence[float] | np.ndarray, width: float) -> None:
        """Put the arm's joints (7 angles) and both fingers (half of `width` each), and hold them there."""
        for joint, angle in zip(ARM, joints, strict=True):
            self._bullet.resetJointState(self.body, joint, angle)
            self._drive(joint, angle, MAX_FORCE, MAX_VELOCITY)
        for finger in FINGERS:
            self._bullet.resetJointState(self.body, finger, width / 2)
            self._drive(finger, width / 2, MAX_FORCE, FINGER_VELOCITY)

    def aim_at_measured_pose(self) -> None:
        """Let relative actions begin from where the arm is."""
        position, orientation = self._tcp()
        self.target = np.array(position), np.array(self._bullet.getEulerFromQuaternion(orientation))

    def move_by(self, translation: np.ndarray, rotation: np.ndarray, gripper: int) -> None:
        """Move the target by metres (3,) and Euler angles (3,) and drive the arm there."""
        position, euler = self.target
        self.target = position + translation, euler + rotation
        self.move_to(*self.target, gripper)

    def move_to(self, position: np.ndarray, euler: np.ndarray, gripper: int) -> None:
        """Drive the arm to a pose in the world frame, and the gripper open (1) or closed (-1)."""
        bullet = self._bullet
        solution = bullet.calculateInverseKinematics(
            self.body,
            TCP_LINK,
            list(position),
            bullet.getQuaternionFromEuler(list(euler)),
            lowerLimits=[-7] * 9,
            upperLimits=[7] * 9,
            jointRanges=[7] * 9,
            restPoses=[*INITIAL_JOINTS, INITIAL_FINGER, INITIAL_FINGER],
        )
        for joint, angle in zip(ARM, np.clip(solution[:7], LOWER, UPPER), strict=True):
            self._drive(joint, angle, MAX_FORCE, MAX_VELOCITY)
        self.gripper_action = gripper
        width, force = (INITIAL_FINGER, OPENING_FORCE) if gripper == OPEN else (0.0, MAX_FORCE)
        for finger in FINGERS:
            self._drive(finger, width, force, FINGER_VELOCITY)

    @property
    def observation(self) -> np.ndarray:
        """`robot_obs`, float64 (15,): TCP position and Euler angles, gripper width, arm joints, last gripper action."""
        position, orientation = self._tcp()
        joints = [state[0] for state in self._bullet.getJointStates(self.body, [*ARM, *FINGERS])]
        euler = self._bullet.getEulerFromQuaternion(orientation)
        return np.array([*position, *euler, joints[7] + joints[8], *joints[:7], self.gripper_action])

    @property
    def camera_pose(self) -> tuple[Sequence[float], Sequence[float]]:
        """Position and quaternion of the camera in the hand, as of the last physics step."""
        return self._bullet.getLinkState(self.body, CAMERA_LINK)[:2]

    def _tcp(self) -> tuple[Sequence[float], Sequence[float]]:
        return self._bullet.getLinkState(self.body, TCP_LINK)[:2]

    def _drive(self, joint: int, target: float, force: float, velocity: float) -> None:
        self._bullet.setJointMotorControl2(
            self.body,
            joint,
            controlMode=self._bullet.POSITION_CONTROL,
            targetPosition=target,
            force=force,
            maxVelocity=velocity,
        )

    def _add_pedestal(self) -> None:
        """The white cylinder under the arm: it can be seen, not touched."""
        x, y, height = BASE_POSITION
        shape = self._bullet.createVisualShape(
            self._bullet.GEOM_CYLINDER,
            radius=0.13,
            length=height,
            rgbaColor=(1, 1, 1, 1),
            visualFramePosition=(x - 0.05, y, height / 2),
        )
        self._bullet.createMultiBody(baseMass=0, baseVisualShapeIndex=shape)
