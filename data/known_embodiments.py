"""Conventions of published datasets that their files do not state: what an action means, camera by camera.

LeRobot's format has no place for the frame, the rotation convention or the gripper's polarity. Each entry says where
its facts come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configuration.action_contract import UNKNOWN, Frame, GripperSpec, Mode, RotationName
from ..configuration.serialization import StrictRecord

EULER_DELTA = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
OPEN_IS_ONE = (GripperSpec(6, open_value=1.0, closed_value=0.0),)
OPENVLA = "github.com/openvla/openvla prismatic/vla/datasets/rlds/oxe/transforms.py"


@dataclass(frozen=True)
class RLDSLayout(StrictRecord):
    """Where RLDS releases keep what a table entry tells of.

    Args:
        names: of the RLDS datasets.
        action, state: features of a step, joined in this order.
        state_names: of the state's dimensions.
        cameras: (image feature, the entry's name for it), where the two differ.
    """

    names: tuple[str, ...]
    action: tuple[str, ...] = ("action",)
    state: tuple[str, ...] = ("observation/state",)
    state_names: tuple[str, ...] = ()
    cameras: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class KnownEmbodiment(StrictRecord):
    """What is known of one robot's recordings.

    Args:
        name: the embodiment's key in checkpoints.
        datasets: Hub ids whose files follow it.
        cameras: names in the order in which policies usually see them.
        control_frequency: Hz.
        action_names, units: of the action's dimensions.
        rotation, frame, mode, grippers: as in `ActionContract`.
        sources: where each fact was read.
        notes: what surprises.
        rlds: the RLDS datasets whose files follow it.
    """

    name: str
    datasets: tuple[str, ...]
    cameras: tuple[str, ...]
    control_frequency: float
    action_names: tuple[str, ...]
    units: tuple[str, ...]
    sources: tuple[str, ...]
    rotation: RotationName = UNKNOWN
    frame: Frame = UNKNOWN
    mode: Mode = UNKNOWN
    grippers: tuple[GripperSpec, ...] = ()
    notes: str = ""
    rlds: RLDSLayout | None = None


POSE_UNITS = ("m", "m", "m", "rad", "rad", "rad", "1")

BRIDGE = KnownEmbodiment(
    name="bridge",
    rlds=RLDSLayout(
        names=("bridge_dataset", "bridge_orig"),
        state_names=("x", "y", "z", "roll", "pitch", "yaw", "gripper_opening"),
    ),
    datasets=("IPEC-COMMUNITY/bridge_orig_lerobot",),
    cameras=("image_0",),
    control_frequency=5,
    action_names=EULER_DELTA,
    units=POSE_UNITS,
    rotation="euler_xyz",
    frame="base",
    mode="delta",
    grippers=OPEN_IS_ONE,
    sources=(
        f"{OPENVLA}: bridge_orig_dataset_transform (actions relabelled as differences of reached poses, gripper "
        "binarised, 1 = open)",
        "cameras: published training configurations on this Hub id name observation.images.image_0",
        "5 Hz: Walke et al. 2023, BridgeData V2 (arXiv:2308.12952)",
    ),
    notes="image_1 ... image_3 are other views that many episodes lack. The first, all-zero action is removed.",
)

FRACTAL = KnownEmbodiment(
    name="fractal",
    datasets=("IPEC-COMMUNITY/fractal20220817_data_lerobot",),
    cameras=("image",),
    control_frequency=3,
    action_names=EULER_DELTA,
    units=POSE_UNITS,
    rotation="euler_xyz",
    frame="base",
    mode="delta",
    grippers=OPEN_IS_ONE,
    sources=(
        f"{OPENVLA}: rt1_dataset_transform (world_vector, rotation_delta, gripper made absolute, 1 = open)",
        "cameras, 3 Hz, state: meta/info.json of the Hub id",
    ),
    notes="RT-1's robot. The state is x, y, z, quaternion (xyzw), gripper.",
)

FRACTAL_RLDS = KnownEmbodiment(
    name="fractal_rlds",
    rlds=RLDSLayout(
        names=("fractal20220817_data",),
        action=("action/world_vector", "action/rotation_delta", "action/gripper_closedness_action"),
        state=("observation/base_pose_tool_reached", "observation/gripper_closed"),
        state_names=("x", "y", "z", "qx", "qy", "qz", "qw", "gripper_closed"),
    ),
    datasets=(),
    cameras=("image",),
    control_frequency=3,
    action_names=(*EULER_DELTA[:6], "gripper_closing"),
    units=(*POSE_UNITS[:6], "1 closes, -1 opens, 0 keeps"),
    rotation="euler_xyz",
    frame="base",
    mode="delta",
    sources=(f"{OPENVLA}: rt1_dataset_transform reads these features", "features.json of the release"),
    notes="RT-1's robot as released: the gripper's action is a change. 'fractal' is its copy with an absolute gripper.",
)

BC_Z = KnownEmbodiment(
    name="bc_z",
    datasets=("IPEC-COMMUNITY/bc_z_lerobot",),
    cameras=("image",),
    control_frequency=10,
    action_names=EULER_DELTA,
    units=POSE_UNITS,
    rotation="axis_angle",
    frame="base",
    mode="delta",
    grippers=OPEN_IS_ONE,
    sources=(
        f"{OPENVLA}: bc_z_dataset_transform (first waypoint of future/xyz_residual and future/axis_angle_residual, "
        "gripper 1 - target_close)",
        "cameras, 10 Hz: meta/info.json of the Hub id",
    ),
    notes="The dataset calls the rotation roll, pitch, yaw; it is an axis-angle vector.",
)

LANGUAGE_TABLE = KnownEmbodiment(
    name="language_table",
    datasets=("IPEC-COMMUNITY/language_table_lerobot",),
    cameras=("rgb",),
    control_frequency=10,
    action_names=EULER_DELTA,
    units=POSE_UNITS,
    rotation="euler_xyz",
    frame="base",
    mode="delta",
    sources=(
        f"{OPENVLA}: language_table_dataset_transform (the two-dimensional action padded with zeros, gripper 1)",
        "cameras, 10 Hz: meta/info.json of the Hub id",
    ),
    notes="Only x and y move; the other dimensions are constant (a pusher has no gripper).",
)

JOINTS = tuple(f"joint_{number}" for number in range(7))

DROID = KnownEmbodiment(
    name="droid",
    datasets=("lerobot/droid_1.0.1", "cadene/droid_1.0.1"),
    rlds=RLDSLayout(
        names=("droid", "droid_100"),
        action=("action_dict/joint_position", "action_dict/gripper_position"),
        state=("observation/joint_position", "observation/gripper_position"),
        state_names=(*JOINTS, "gripper_closed"),
        cameras=(
            ("exterior_image_1_left", "exterior_1_left"),
            ("exterior_image_2_left", "exterior_2_left"),
            ("wrist_image_left", "wrist_left"),
        ),
    ),
    cameras=("exterior_1_left", "exterior_2_left", "wrist_left"),
    control_frequency=15,
    action_names=(*JOINTS, "gripper"),
    units=(*("rad",) * 7, "1"),
    rotation="none",
    frame="joint",
    mode="absolute",
    grippers=(GripperSpec(7, open_value=0.0, closed_value=1.0),),
    sources=(
        "github.com/huggingface/lerobot examples/port_datasets/port_droid.py (action = action.joint_position and "
        "action.gripper_position; cameras; 15 Hz)",
        "droid-dataset.github.io: gripper position 0 = open, 1 = closed",
    ),
    notes="Cartesian targets and velocities are in the columns action.cartesian_position and _velocity.",
)

CALVIN = KnownEmbodiment(
    name="calvin",
    datasets=(),
    cameras=("static", "gripper"),
    control_frequency=30,
    action_names=("x", "y", "z", "euler_x", "euler_y", "euler_z", "gripper"),
    units=("2 cm", "2 cm", "2 cm", "0.05 rad", "0.05 rad", "0.05 rad", "1"),
    rotation="euler_xyz",
    frame="world",
    mode="delta",
    grippers=(GripperSpec(6, open_value=1.0, closed_value=-1.0),),
    sources=("github.com/mees/calvin dataset/README.md (rel_actions: scaled by 50 and 20, clipped to [-1, 1])",),
    notes="Angles are differences of Euler angles of the tool in the world frame.",
)

TABLETOP = KnownEmbodiment(
    name="tabletop",
    datasets=(),
    cameras=("static", "gripper"),
    control_frequency=20,
    action_names=("delta_x", "delta_y", "delta_z", "delta_roll", "delta_pitch", "delta_yaw", "gripper"),
    units=(*("2 cm",) * 3, *("0.2 rad",) * 3, "1 open, -1 closed"),
    rotation="euler_xyz",
    frame="world",
    mode="delta",
    grippers=(GripperSpec(6, open_value=1.0, closed_value=-1.0),),
    sources=("robovlms.simulators.tabletop.interface",),
    notes="Recorded by `robovlms collect`.",
)

SAWYER = KnownEmbodiment(
    name="sawyer",
    datasets=(),
    cameras=("corner4", "gripperPOV"),
    control_frequency=80,
    action_names=("delta_x", "delta_y", "delta_z", "grab_effort"),
    units=(*("1 cm",) * 3, "1 closes, -1 opens"),
    rotation="none",
    frame="world",
    mode="delta",
    sources=("robovlms.simulators.metaworld.interface",),
    notes="Recorded by `robovlms collect`. The effort is a force, not an on/off command.",
)

KNOWN_EMBODIMENTS = {
    entry.name: entry
    for entry in (BRIDGE, FRACTAL, FRACTAL_RLDS, BC_Z, LANGUAGE_TABLE, DROID, CALVIN, TABLETOP, SAWYER)
}


def known_embodiment(dataset: str | Path) -> KnownEmbodiment | None:
    """Return the entry of a Hub id, or of a local folder that carries the repository's name; None where there is
    none."""
    name = str(dataset)
    for entry in KNOWN_EMBODIMENTS.values():
        if name in entry.datasets or Path(name).name in {Path(known).name for known in entry.datasets}:
            return entry
    return None


def known_recording(embodiment: str, action_names: Sequence[str], fps: float) -> KnownEmbodiment | None:
    """Return the entry of a dataset without a name of its own: embodiment, action names and frequency are all the
    entry's."""
    entry = KNOWN_EMBODIMENTS.get(embodiment)
    same = entry is not None and entry.action_names == tuple(action_names) and entry.control_frequency == fps
    return entry if same else None
