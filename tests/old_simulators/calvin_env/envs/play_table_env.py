"""A stand-in with calvin_env's interface: its clock is its only state, and slower in the second chain."""

import os

import numpy as np


class PlayTableSimEnv:
    def reset(self, robot_obs, scene_obs):
        self.clock, self.robot_obs = 0, robot_obs
        return self.get_obs()

    def step(self, action):
        assert action.shape == (7,) and action[6] in (-1, 1)
        self.clock += 1 - 0.99 * self.robot_obs[0]
        return self.get_obs(), 0, False, self.get_info()

    def get_obs(self):
        images = {"rgb_static": np.zeros((200, 200, 3), np.uint8), "rgb_gripper": np.zeros((84, 84, 3), np.uint8)}
        return {"rgb_obs": images, "robot_obs": self.robot_obs}

    def get_info(self):
        return {"clock": self.clock}

    def close(self):
        pass


def get_env(dataset_path, show_gui=True):
    assert os.path.isdir(os.path.join(dataset_path, ".hydra")) and not show_gui
    return PlayTableSimEnv()
