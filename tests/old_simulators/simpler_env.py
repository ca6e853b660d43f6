"""A stand-in with SimplerEnv's interface, for Python 3.8 and newer: scenes without physics.

The task is done from the third step on, and undone again at the last step (80) where the can stands at the left; where it
stands at the right, near, the simulator crashes.
"""

import gymnasium
import numpy as np

SCENES = ("GraspSingleOpenedCokeCanInScene-v0", "MoveNearGoogleBakedTexInScene-v0")


class Agent:
    def get_gripper_closedness(self):
        return 0.25


class Scene(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(1)

    def __init__(self, obs_mode, robot, control_mode, control_freq, sim_freq, camera_cfgs, scene_name, **options):
        assert obs_mode == "rgbd" and robot == "google_robot_static" and control_freq == 3 and camera_cfgs
        assert options["rgb_overlay_cameras"] == ["overhead_camera"] and options["rgb_overlay_path"].endswith(".png")
        self.agent = Agent()

    def get_language_instruction(self):
        return "pick coke can" if self.steps < 40 else "now hold it"

    def reset(self, seed=None, options=None):
        assert np.linalg.norm(options["robot_init_options"]["init_rot_quat"]) == 1
        self.place = np.asarray(options["obj_init_options"].get("init_xy", (0, 0)))
        self.steps = 0
        return self.observation(), {}

    def step(self, action):
        assert action.shape == (7,)
        self.steps += 1
        if self.steps == 5 and self.place[0] > -0.13 and self.place[1] < 0.1:
            raise RuntimeError("the physics exploded")
        success = self.steps >= 3 and not (self.steps == 80 and self.place[0] < -0.34)
        return self.observation(), 0.0, success, False, {"success": success}

    def observation(self):
        image = np.full((512, 640, 4), self.steps, np.uint8)
        pose = np.array([0.0, 0, 0, 1, 0, 0, 0])
        return {
            "image": {"overhead_camera": {"rgb": image}},
            "agent": {"base_pose": pose},
            "extra": {"tcp_pose": np.array([0.5, 0, 1, 1, 0, 0, 0])},
        }


for name in SCENES:
    gymnasium.register(name, entry_point="simpler_env:Scene", disable_env_checker=True)
