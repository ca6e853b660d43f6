"""The physics: a PyBullet server with the robot, three blocks, the table and the floor."""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from ..common.textures import draw_texture
from .appearance import PUBLISHED, Appearance
from .assets import PLANE, block_file, table_file
from .cameras import Cameras, load_egl
from .client import Client
from .interface import CONTROL_FREQUENCY, PHYSICS_FREQUENCY, POSITION_SCALE, ROTATION_SCALE
from .placement import Pose, loading_poses, random_poses
from .robot import CLOSED, INITIAL_FINGER, INITIAL_JOINTS, OPEN, Robot
from .scenes import Scene
from .snapshot import Block, Contact, Snapshot
from .table import LINK_NAMES, PLANK, SCALE, TABLE_TOP, Table

SUBSTEPS = round(PHYSICS_FREQUENCY / CONTROL_FREQUENCY)
MAX_PLACEMENTS = 1000


class Simulation:
    """A scene in motion.

    Args:
        scene, assets: which scene, and the folder of its models.
        renderer: "tiny" or "egl".
        appearance: how it looks.

    Attributes:
        bullet: the physics server.
        robot, table, cameras: its parts.
        blocks: colour -> body, in the scene's order.
    """

    def __init__(self, scene: Scene, assets: Path, renderer: str = "tiny", appearance: Appearance = PUBLISHED):
        self.scene, self.renderer, self.appearance = scene, renderer, appearance
        self._assets = assets
        self.bullet = Client()
        if renderer == "egl":
            load_egl(self.bullet)
        self.load()
        if renderer == "egl":
            self.cameras.image("static", 8)  # the plugin's first picture lacks the shadows that all later ones have

    def load(self) -> None:
        """Build everything anew: nothing of what happened before is left.

        The order of the calls decides about the last bits of every trajectory: it makes the bodies' numbers and the
        order in which contacts are solved.
        """
        bullet = self.bullet
        bullet.resetSimulation()
        bullet.setTimeStep(1 / PHYSICS_FREQUENCY)
        bullet.setGravity(0, 0, -9.8)
        bullet.setAdditionalSearchPath(str(self._assets))
        self.robot = Robot(bullet)
        self.robot.reset(INITIAL_JOINTS, 2 * INITIAL_FINGER)
        self.blocks: dict[str, int] = {}
        for (color, size), (position, euler) in zip(self.scene.blocks.items(), loading_poses(self.scene), strict=True):
            orientation = bullet.getQuaternionFromEuler(euler)
            self.blocks[color] = bullet.loadURDF(block_file(color, size), position, orientation, globalScaling=SCALE)
        self.table = Table(bullet, table_file(self.scene))
        floor = bullet.loadURDF(PLANE)
        self._paint(floor)
        self.cameras = Cameras(bullet, self.robot, self.appearance)
        self._names = {self.robot.body: "robot", self.table.body: "table", floor: "floor"}
        self._names |= {body: color for color, body in self.blocks.items()}

    def looking_like(self, appearance: Appearance) -> "Simulation":
        """Return the same scene with another appearance: a simulation of its own, in the place of this one."""
        self.close()
        return Simulation(self.scene, self._assets, self.renderer, appearance)

    def put(self, scene_obs: np.ndarray, robot_obs: np.ndarray | None) -> None:
        """Put everything as in two observations, (24,) and (15,), and let it settle for one physics step.

        Only the gripper's width and the arm's joints of `robot_obs` count; without it, the arm takes its initial pose.
        """
        slide, drawer, button, switch, lightbulb, led = scene_obs[:6]
        self.table.reset(slide, drawer, button, switch, bool(lightbulb), bool(led))
        self._put_blocks([(pose[:3], pose[3:]) for pose in scene_obs[6:].reshape(-1, 6)])
        self._put_robot(robot_obs)

    def put_at_random(self, generator: np.random.Generator, robot_obs: np.ndarray | None) -> None:
        """Close the doors, turn off the lights, put the blocks at random where they don't touch each other.

        Raises:
            RuntimeError: no such places were found.
        """
        self.table.reset(0, 0, 0, 0, lightbulb=False, led=False)
        for _ in range(MAX_PLACEMENTS):
            self._put_blocks(random_poses(self.scene, generator))
            self.bullet.stepSimulation()
            if not any(self.bullet.getContactPoints(*pair) for pair in combinations(self.blocks.values(), 2)):
                break
        else:
            raise RuntimeError(f"blocks still touch each other after {MAX_PLACEMENTS} random placements")
        self._put_robot(robot_obs)

    def apply(self, action: np.ndarray, absolute: bool = False) -> None:
        """Move for one control step by an action (7,): relative and scaled, or an absolute pose in m and rad."""
        gripper = OPEN if action[6] > 0 else CLOSED
        if absolute:
            self.robot.move_to(action[:3], action[3:6], gripper)
        else:
            self.robot.move_by(POSITION_SCALE * action[:3], ROTATION_SCALE * action[3:6], gripper)
        for _ in range(SUBSTEPS):
            self.bullet.stepSimulation()
        self.table.update()

    @property
    def scene_obs(self) -> np.ndarray:
        """float64 (24,), see `interface.SCENE_OBS_SIZE`."""
        values = self.table.observation
        for body in self.blocks.values():
            position, orientation = self.bullet.getBasePositionAndOrientation(body)
            values += [*position, *self.bullet.getEulerFromQuaternion(orientation)]
        return np.array(values)

    def snapshot(self) -> Snapshot:
        """Return what the task detectors need to know of this moment."""
        slide, drawer, *_ = self.table.observation
        return Snapshot(
            slide=slide,
            drawer=drawer,
            lightbulb=self.table.lightbulb.on,
            led=self.table.led.on,
            blocks={color: self._block(body) for color, body in self.blocks.items()},
            robot_touches=frozenset(body for body, _ in self._contacts(self.robot.body)),
        )

    def close(self) -> None:
        """End the physics server."""
        self.bullet.close()

    def _paint(self, floor: int) -> None:
        look, bullet = self.appearance, self.bullet
        if look.table is not None:
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                Image.fromarray(draw_texture(look.table)).save(file, "PNG")
                file.flush()
                texture = bullet.loadTexture(file.name)
            for link in (TABLE_TOP, PLANK):
                bullet.changeVisualShape(self.table.body, link, textureUniqueId=texture)
        if look.floor is not None:
            bullet.changeVisualShape(floor, -1, rgbaColor=look.floor)
        for color, rgba in look.blocks:
            bullet.changeVisualShape(self.blocks[color], -1, rgbaColor=rgba)

    def _put_blocks(self, poses: Sequence[Pose]) -> None:
        for body, (position, euler) in zip(self.blocks.values(), poses, strict=True):
            orientation = self.bullet.getQuaternionFromEuler(euler)
            self.bullet.resetBasePositionAndOrientation(body, position, orientation)

    def _put_robot(self, robot_obs: np.ndarray | None) -> None:
        if robot_obs is None:
            self.robot.reset(INITIAL_JOINTS, 2 * INITIAL_FINGER)
        else:
            self.robot.reset(robot_obs[7:14], robot_obs[6])
        self.bullet.stepSimulation()
        self.robot.aim_at_measured_pose()

    def _block(self, body: int) -> Block:
        position, orientation = self.bullet.getBasePositionAndOrientation(body)
        linear, angular = self.bullet.getBaseVelocity(body)
        return Block(
            position=np.array(position),
            orientation=np.array(orientation),
            velocity=np.array([*linear, *angular]),
            contacts=frozenset(self._contacts(body)),
        )

    def _contacts(self, body: int) -> Iterator[Contact]:
        for _, _, other, _, link, *_ in self.bullet.getContactPoints(bodyA=body):
            name = self._names.get(other, "pedestal")
            yield name, LINK_NAMES[link] if name == "table" else str(link)
