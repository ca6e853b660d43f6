# pyright: reportMissingImports=false
# (the simulator's own Python has them)
"""SimplerEnv's Google-robot tasks, in SimplerEnv's own Python (SAPIEN 2.2, numpy<2), against a policy server.

    robovlms serve me/my_vla --resize stretch                                  # here: today's Python
    python simpler_google_robot.py --output results --assets ManiSkill2_real2sim/data      # there: SimplerEnv's
    robovlms eval-record results                                               # here: record and report

Actions are those of the Fractal dataset: delta x, y, z (m), delta roll, pitch, yaw (rad, fixed axes), gripper (1 open,
0 closed), 3 per second. The camera is called as the policy's first camera; its images are 640x512.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from episode_worker import Episode, arguments, check_contract, connect, main, run, versions
from google_robot_protocol import MAX_STEPS, TASKS, Start, Variant, reset_options, variants

CONTROL_FREQUENCY = 3.0
ACTION_DIM = 7
STATE = ("x", "y", "z", "quaternion_x", "quaternion_y", "quaternion_z", "quaternion_w", "gripper_closed")
"""The state of the Fractal dataset: the gripper's pose in the robot's base frame, and how far it is closed."""


class StickyGripper:
    """The Google robot's gripper takes changes, not positions: a change above 0.5 is repeated for `repeats` steps, as the
    real one goes on moving (published: 15). With 0, each change is given once."""

    def __init__(self, repeats: int):
        self.repeats = repeats
        self.reset()

    def reset(self) -> None:
        self._before: float | None = None
        self._change, self._left = 0.0, 0

    def __call__(self, opening: float) -> float:
        """How far to close (above 0) or open (below) in this step, for a wanted opening of 0 to 1."""
        change = 0.0 if self._before is None else self._before - opening
        self._before = opening
        if abs(change) > 0.5 and self._left == 0:
            self._change, self._left = change, self.repeats
        if self._left == 0:
            return change
        self._left -= 1
        return self._change


class GoogleRobot:
    """The environment of `episode_worker`, over SimplerEnv's."""

    def __init__(self, assets: str, camera: str, with_state: bool, gripper: StickyGripper):
        self.assets, self.camera, self.with_state, self.gripper = assets, camera, with_state, gripper
        self._env: Any = None
        self._built: tuple[str, str] | None = None

    def restart(self) -> None:
        """Forget the scene; the next episode builds it."""
        if self._env is not None:
            self._env.close()
        self._env = self._built = None

    def reset(self, episode: Episode) -> dict[str, Any]:
        variant, start = find(episode)
        self._build(variant, episode.max_steps)
        self.gripper.reset()
        seen, _ = self._env.reset(options=reset_options(start))
        return self._observation(seen)

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], bool]:
        seen, _, _, _, info = self._env.step(robot_action(action, self.gripper))
        return self._observation(seen), bool(info["success"])

    @property
    def instruction(self) -> str:
        return self._env.unwrapped.get_language_instruction()

    def _build(self, variant: Variant, max_steps: int) -> None:
        if self._built == (variant.environment, variant.name):
            return
        self.restart()
        import gymnasium
        import simpler_env  # noqa: F401 (registers the scenes)

        options = dict(variant.build)
        if variant.photograph is not None:
            options["rgb_overlay_path"] = os.path.join(self.assets, "real_inpainting", variant.photograph)
            options["rgb_overlay_cameras"] = ["overhead_camera"]
        self._env = gymnasium.make(variant.environment, max_episode_steps=max_steps + 1, **options)
        self._built = (variant.environment, variant.name)

    def _observation(self, seen: dict[str, Any]) -> dict[str, Any]:
        image = np.ascontiguousarray(seen["image"]["overhead_camera"]["rgb"][..., :3])
        if image.dtype != np.uint8:
            raise TypeError(f"the overhead camera's images are {image.dtype}, this worker knows uint8")
        observation: dict[str, Any] = {"images": {self.camera: image}}
        if self.with_state:
            observation["state"] = self._state(seen)
        return observation

    def _state(self, seen: dict[str, Any]) -> np.ndarray:
        position, turn = in_frame(np.asarray(seen["agent"]["base_pose"]), np.asarray(seen["extra"]["tcp_pose"]))
        closed = float(self._env.unwrapped.agent.get_gripper_closedness())
        return np.array([*position, *turn, closed], np.float32)


def in_frame(base: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a pose seen from another, both (x, y, z, quaternion w, x, y, z): position (3,) and quaternion (x, y, z,
    w)."""
    from scipy.spatial.transform import Rotation

    frame, turn = (Rotation.from_quat(one[[4, 5, 6, 3]]) for one in (base, pose))
    return frame.inv().apply(pose[:3] - base[:3]), (frame.inv() * turn).as_quat()


def robot_action(action: np.ndarray, gripper: StickyGripper) -> np.ndarray:
    """Return an action of the policy as SimplerEnv takes it: the rotation as a rotation vector, the gripper as a
    change."""
    from scipy.spatial.transform import Rotation

    action = np.asarray(action, np.float64)
    turn = Rotation.from_euler("xyz", action[3:6]).as_rotvec()
    return np.array([*action[:3], *turn, gripper(float(action[6]))])


def published(task: str, protocol: str, most: int | None) -> list[Episode]:
    """Return the published episodes of a task, or `most` of them, drawn once and for all: a larger number has those of
    a smaller."""
    episodes = []
    for variant in variants(task, protocol):
        for number, start in enumerate(variant.starts):
            options = {"protocol": protocol, "variant": variant.name, "number": number, "start": start}
            episodes.append(Episode([task], len(episodes), MAX_STEPS[task], options))
    if most is None or most >= len(episodes):
        return episodes
    chosen = np.random.RandomState(0).permutation(len(episodes))[:most]
    return [episodes[index] for index in sorted(chosen)]


def find(episode: Episode) -> tuple[Variant, Start]:
    """Return the variant and the start of an episode."""
    known = {variant.name: variant for variant in variants(episode.tasks[0], episode.options["protocol"])}
    variant = known[episode.options["variant"]]
    return variant, variant.starts[episode.options["number"]]


def work() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--assets", default=os.environ.get("MS2_ASSET_DIR"), help="ManiSkill2_real2sim/data")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--protocol", default="visual_matching", choices=("visual_matching", "variant_aggregation"))
    parser.add_argument(
        "--termination",
        default="truncate",
        choices=("truncate", "accumulate"),
        help="success at the end, or at any step",
    )
    parser.add_argument("--episodes-per-task", type=int, default=None, help="all published ones by default")
    parser.add_argument("--sticky-steps", type=int, default=15, help="repeats of a change of the gripper; 0 for none")
    options = parser.parse_args()
    if not options.assets or not os.path.isdir(os.path.join(options.assets, "real_inpainting")):
        raise SystemExit(f"--assets: {options.assets} holds no real_inpainting; name ManiSkill2_real2sim/data")
    os.environ["MS2_ASSET_DIR"] = options.assets
    policy = connect(options)
    check_contract(policy, CONTROL_FREQUENCY, ACTION_DIM, {"rotation": "euler_xyz", "frame": "base", "mode": "delta"})
    gripper = policy.contract["grippers"]
    if len(gripper) != 1 or (gripper[0]["open_value"], gripper[0]["closed_value"]) != (1.0, 0.0):
        raise SystemExit(f"grippers: the policy's contract says {gripper}, this robot takes one, 1 open and 0 closed")
    state = policy.contract["state"]
    if state is not None and len(state["names"]) != len(STATE):
        raise SystemExit(f"the policy's state is {list(state['names'])}, this robot's is {list(STATE)}")
    episodes = [
        episode for task in options.tasks for episode in published(task, options.protocol, options.episodes_per_task)
    ]
    camera = policy.contract["cameras"][0]["name"]
    environment = GoogleRobot(options.assets, camera, state is not None, StickyGripper(options.sticky_steps))
    about = {
        "suite": "simpler_google_robot",
        "suite_version": "1",
        "suite_facts": {
            "protocol": options.protocol.replace("_", " "),
            "gripper": f"sticky for {options.sticky_steps} steps" if options.sticky_steps else "not sticky",
            "images": "640x512, resized by the policy server",
        },
        "control_frequency": CONTROL_FREQUENCY,
        "versions": versions("sapien", "mani_skill2_real2sim", "simpler_env"),
    }
    run(environment, episodes, policy, options, about)


if __name__ == "__main__":
    main(work)
