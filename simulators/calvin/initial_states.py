"""From a condition to the robot's and the scene's state in which a chain begins."""

import numpy as np

from .conditions import Condition
from .interface import BLOCK_COLORS, SCENE_OBS_SIZE

ROBOT_OBS = np.array(
    [
        *(0.02586889, -0.2313129, 0.5712808, 3.09045411, -0.02908596, 1.50013585, 0.07999963),
        *(-1.21779124, 1.03987629, 2.11978254, -2.34205014, -0.87015899, 1.64119093, 0.55344928, 1.0),
    ]
)
TABLE_SPOTS = ((5.00000896e-02, -1.20000177e-01, 4.59990009e-01), (2.29995412e-01, -1.19995140e-01, 4.59990010e-01))
SLIDER_SPOTS = {
    "slider_left": (-2.40851662e-01, 9.24044687e-02, 4.60990009e-01),
    "slider_right": (7.03416330e-02, 9.24044687e-02, 4.60990009e-01),
}
SLIDE_LEFT, DRAWER_OPEN, SWITCH_UP = 0.28, 0.22, 0.088
YAW = (np.pi / 2 - np.pi / 8, np.pi / 2 + np.pi / 8)


def initial_state(condition: Condition) -> tuple[np.ndarray, np.ndarray]:
    """Return the `robot_obs` (15,) and `scene_obs` (24,) with which a chain begins.

    They are made for scene D; in scenes B and C the blocks' places on the slider don't fit the table.
    """
    scene = np.zeros(SCENE_OBS_SIZE)
    scene[0] = SLIDE_LEFT if condition["slider"] == "left" else 0
    scene[1] = DRAWER_OPEN if condition["drawer"] == "open" else 0
    scene[3] = SWITCH_UP if condition["lightbulb"] else 0
    scene[4], scene[5] = condition["lightbulb"], condition["led"]
    generator = np.random.RandomState(seed_of(condition))
    spots = list(TABLE_SPOTS)
    generator.shuffle(spots)
    places = {color: condition[f"{color}_block"] for color in BLOCK_COLORS}
    spot = {"red": 0, "blue": int(places["red"] == "table"), "pink": 1}
    for number, (color, place) in enumerate(places.items()):
        pose = scene[6 + 6 * number : 12 + 6 * number]
        pose[:3] = spots[spot[color]] if place == "table" else SLIDER_SPOTS[str(place)]
        pose[5] = generator.uniform(*YAW)
    return ROBOT_OBS.copy(), scene


def seed_of(condition: Condition) -> int:
    """Return the seed of a condition's spots and yaws: pyhash 0.9.3's 32-bit FNV-1 of how Python prints its values.

    That hash starts from 0 instead of FNV's offset and reads the text as UTF-16; others give other scenes.
    """
    value = 0
    for byte in f"dict_values({list(condition.values())})".encode("utf-16-le"):
        value = value * 0x01000193 % 2**32 ^ byte
    return value
