"""Draws docs/images/tabletop_settings.png and calvin_settings.png: one scene in every setting.

python docs/draw_settings.py [CALVIN_ASSETS]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import robovlms.simulators  # noqa: F401 (registers the environments)
from robovlms.simulators.calvin.settings import SETTINGS as CALVIN_SETTINGS
from robovlms.simulators.tabletop.settings import SETTINGS as TABLETOP_SETTINGS

IMAGES = Path(__file__).with_name("images")
SIZE, LINE = 240, 17


def tile(env: gymnasium.Env, setting: str, task: str, seed: int) -> Image.Image:
    """What the static camera sees, over the setting's name and the instruction."""
    observation, info = env.reset(seed=seed, options={"task": task, "setting": setting})
    result = Image.new("RGB", (SIZE, SIZE + 2 * LINE + 4), "white")
    result.paste(Image.fromarray(observation["images"]["static"]).resize((SIZE, SIZE)))
    draw = ImageDraw.Draw(result)
    draw.text((4, SIZE + 2), setting, fill="black", font=ImageFont.load_default(14))
    draw.text((4, SIZE + 2 + LINE), f"“{info['instruction']}”", fill="#555", font=ImageFont.load_default(11))
    return result


def sheet(env: gymnasium.Env, settings: Sequence[str], task: str, seed: int, columns: int, file: str) -> None:
    tiles = [np.asarray(tile(env, setting, task, seed)) for setting in settings]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(IMAGES / file, optimize=True)
    env.close()


if __name__ == "__main__":
    tabletop = gymnasium.make("robovlms/Tabletop-v0", image_size=SIZE)
    sheet(tabletop, TABLETOP_SETTINGS, "lift_red_block", 12, 5, "tabletop_settings.png")
    calvin = gymnasium.make("robovlms/Calvin-v0", scene="D", assets=sys.argv[1] if len(sys.argv) > 1 else None)
    sheet(calvin, CALVIN_SETTINGS, "push_blue_block_left", 7, 3, "calvin_settings.png")
