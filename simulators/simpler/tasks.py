"""The four WidowX tasks, and what goes in and out of the robot."""

from dataclasses import dataclass

CONTROL_FREQUENCY = 5.0
"""Actions per second."""
STARTS = 24
"""Published starts of each task: places and rotations of its two objects."""
CAMERA = "static"
"""The only camera; it looks at the robot from the side."""
HEIGHT, WIDTH = 480, 640
"""Size of its images (pixels)."""

ACTION_NAMES = ("delta_x", "delta_y", "delta_z", "delta_roll", "delta_pitch", "delta_yaw", "gripper")
ACTION_UNITS = ("m", "m", "m", "rad", "rad", "rad", "1 open, 0 closed")
STATE_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
STATE_UNITS = ("m", "m", "m", "rad", "rad", "rad", "1 open, 0 closed")


@dataclass(frozen=True)
class SimplerTask:
    """One task.

    Attributes:
        environment: ManiSkill's name for it.
        instruction: the published sentence.
        paraphrases: sentences of ours (setting "unseen_paraphrases").
        max_steps: the published limit.
        stage: file of the scene around the table.
        photograph: file of the real picture behind the objects and the robot.
        objects: models that must be there.
        model_list: file that describes the models.
    """

    environment: str
    instruction: str
    paraphrases: tuple[str, ...]
    max_steps: int
    stage: str
    photograph: str
    objects: tuple[str, ...]
    model_list: str = "info_bridge_custom_v0.json"


TASKS: dict[str, SimplerTask] = {
    "carrot_on_plate": SimplerTask(
        "PutCarrotOnPlateInScene-v1",
        "put carrot on plate",
        ("lay the carrot down on the dish", "the carrot belongs on the plate"),
        60,
        "bridge_table_1_v1.glb",
        "bridge_real_eval_1.png",
        ("bridge_carrot_generated_modified", "bridge_plate_objaverse_larger"),
    ),
    "spoon_on_towel": SimplerTask(
        "PutSpoonOnTableClothInScene-v1",
        "put the spoon on the towel",
        ("lay the spoon down on the cloth", "the spoon belongs on the towel"),
        60,
        "bridge_table_1_v1.glb",
        "bridge_real_eval_1.png",
        ("bridge_spoon_generated_modified", "table_cloth_generated_shorter"),
    ),
    "stack_cube": SimplerTask(
        "StackGreenCubeOnYellowCubeBakedTexInScene-v1",
        "stack the green block on the yellow block",
        ("build a tower, the green cube above the yellow one", "the green cube belongs on top of the yellow one"),
        60,
        "bridge_table_1_v1.glb",
        "bridge_real_eval_1.png",
        ("baked_green_cube_3cm", "baked_yellow_cube_3cm"),
        "info_bridge_custom_baked_tex_v0.json",
    ),
    "eggplant_in_basket": SimplerTask(
        "PutEggplantInBasketScene-v1",
        "put eggplant into yellow basket",
        ("drop the purple vegetable into the basket", "the eggplant belongs in the yellow basket"),
        120,
        "bridge_table_1_v2.glb",
        "bridge_sink.png",
        ("eggplant", "dummy_sink_target_plane", "sink"),
    ),
}
"""By name."""


def get_task(name: str) -> SimplerTask:
    """Return the task of that name.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    if name not in TASKS:
        raise ValueError(f"task: unknown {name!r}, there are {', '.join(TASKS)}")
    return TASKS[name]
