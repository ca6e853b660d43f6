"""Which columns of a LeRobotDataset are the action, the state and the cameras: as told, else as publishers call them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .dimension_names import describe_misfit, tell_apart
from .errors import DatasetError

if TYPE_CHECKING:
    from .lerobot_metadata import LeRobotMetadata

ACTION, STATE, GROUNDING = "action", "observation.state", "grounding"
INDEX_COLUMNS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
MODALITY_FILE = "meta/modality.json"  # GR00T's names for slices of columns

# What publishers call a vector kept in one column, and what the columns begin with where each body part has its own.
ALONE = {
    "action": ("action", "actions"),
    "state": ("observation.state", "state", "states", "observation.states", "observation/state"),
}
BODY = {
    "action": ("action.", "actions."),
    "state": ("observation.state.", "observation.states.", "state.", "states."),
}
# Columns of the same body that hold other quantities, or the same pose in other coordinates: no vector to concatenate.
QUANTITIES = {"velocity", "effort", "torque", "current", "force", "acceleration", "wrench"}
POSES = {"end", "eef", "ee", "tcp", "cartesian", "pose"}
JOINTS = {"joint", "joints", "arm", "qpos"}


@dataclass(frozen=True)
class ColumnSlice:
    """Dimensions `start:stop` of one column; `name` where meta/modality.json gives them one."""

    key: str
    start: int
    stop: int
    name: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of a dataset by what they mean: vectors as slices to be concatenated, cameras as {name: column}; and in
    words which of the vectors' columns have names in info.json that are not one per dimension, and so are not used."""

    action: tuple[ColumnSlice, ...]
    state: tuple[ColumnSlice, ...]
    images: dict[str, str]
    depth: dict[str, str]
    misfits: tuple[str, ...] = ()

    @property
    def vector_keys(self) -> list[str]:
        """The numeric columns to read, each once."""
        return list(dict.fromkeys(part.key for part in (*self.action, *self.state)))


def check_columns(columns: Mapping[str, Any] | None) -> None:
    """Raises ValueError where a mapping of columns is not one; what the dataset has is checked by `find_columns`."""
    if columns is not None and not isinstance(columns, Mapping):
        raise ValueError(f"columns must be a mapping of 'action', 'state', 'images' and 'depth', got {columns!r}")
    for name, value in (columns or {}).items():
        if name in ("action", "state"):
            good = isinstance(value, str) or (value is None and name == "state")
            good = good or (isinstance(value, Sequence) and len(value) > 0 and all(isinstance(v, str) for v in value))
            good = good and (isinstance(value, str) or len(set(value or ())) == len(value or ()))
            wanted = "a column or a list of different columns"
        elif name in ("images", "depth"):
            good = isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())
            wanted = "a mapping from camera names to columns"
        else:
            raise ValueError(f"columns has no entry {name!r}; it takes 'action', 'state', 'images' and 'depth'")
        if not good:
            raise ValueError(f"columns[{name!r}] must be {wanted}, got {value!r}")


def find_columns(metadata: "LeRobotMetadata", columns: Mapping[str, Any] | None = None) -> Columns:
    """Return the dataset's columns: those that `columns` names, the others as the dataset's layout says
    (meta/modality.json, LeRobot's own names, openpi's, one column per body part).

    Raises:
        DatasetError: where a named column does not exist, or no action can be found.
        ValueError: where `columns` is no such mapping.
    """
    check_columns(columns)
    told = dict(columns or {})
    modality = _read_modality(metadata)
    action = _told(metadata, modality, "action", told) or _find(metadata, modality, "action")
    if not action:
        raise _not_found(metadata, "action")
    state = _told(metadata, modality, "state", told)
    if state is None:
        state = _find(metadata, modality, "state")
    return Columns(
        tuple(action),
        tuple(state),
        _told_cameras(metadata, told, "images") if "images" in told else find_cameras(metadata, depth=False),
        _told_cameras(metadata, told, "depth") if "depth" in told else find_cameras(metadata, depth=True),
        tuple(_misfits(metadata, [*action, *state])),
    )


def candidates(metadata: "LeRobotMetadata") -> dict[str, int]:
    """{column: width} of the columns that hold vectors and could be an action or a state."""
    return {
        key: metadata.width(key)
        for key in metadata.features
        if metadata.is_numeric(key)
        and key not in (*INDEX_COLUMNS, GROUNDING, *metadata.camera_features)
        and not key.startswith(("next.", "annotation.", "complementary_info."))
    }


def join_slices(columns: Mapping[str, np.ndarray], slices: Sequence[ColumnSlice]) -> np.ndarray:
    """Return the vector (rows, width) that the slices make of the columns (rows, width of the column)."""
    parts = [columns[part.key][:, part.start : part.stop] for part in slices]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    return np.concatenate(parts, axis=1).astype(np.float32, copy=False)


def slice_names(metadata: "LeRobotMetadata", slices: Sequence[ColumnSlice], default: str) -> list[str]:
    """Return one name per dimension of the vector; `default` numbers the dimensions of an only column without
    names."""
    names, groups = [], []
    for part in slices:
        width = part.stop - part.start
        known = metadata.names(part.key)
        own = known[part.start : part.stop] if known is not None else None
        label = part.name or _short(part.key)
        if own is not None and part.name is not None and all(re.fullmatch(r"([a-z]+_?)?\d+", name) for name in own):
            own = None  # motor_0 ... says less than the slice's name
        if own is None and len(slices) == 1 and part.name is None:
            label = default
        numbered = [label] if width == 1 and len(slices) > 1 else [f"{label}_{number}" for number in range(width)]
        names += own or numbered
        groups += [label] * width
    return tell_apart(names, groups)


def slice_units(metadata: "LeRobotMetadata", slices: Sequence[ColumnSlice]) -> list[str] | None:
    """Return one unit per dimension ("unknown" where only other columns have some), or None where the dataset has
    none."""
    parts = [(part, metadata.units(part.key)) for part in slices]
    if all(units is None for _, units in parts):
        return None
    return [
        unit
        for part, units in parts
        for unit in (units[part.start : part.stop] if units else ["unknown"] * (part.stop - part.start))
    ]


def _misfits(metadata: "LeRobotMetadata", slices: Sequence[ColumnSlice]) -> Iterator[str]:
    for key in dict.fromkeys(part.key for part in slices if part.name is None):
        feature = metadata.features[key]
        if problem := describe_misfit(feature.get("names"), feature["shape"]):
            yield f"the dimensions of column {key!r} are numbered, since info.json has {problem}"


def _told(metadata: "LeRobotMetadata", modality: dict, what: str, told: dict) -> list[ColumnSlice] | None:
    """The slices that the user names; None where nothing is said."""
    if what not in told:
        return None
    value = told[what]
    slices = []
    for name in [value] if isinstance(value, str) else value or []:
        if name in modality.get(what, {}):
            slices += _modality_slices(metadata, modality, what, [name])
        elif name in metadata.features and metadata.is_numeric(name):
            slices.append(ColumnSlice(name, 0, metadata.width(name)))
        else:
            problem = (
                f"columns[{what!r}] names {name!r}, which is no column of numbers; there are {candidates(metadata)}"
            )
            raise DatasetError(problem, metadata.source, file="meta/info.json")
    return slices


def _find(metadata: "LeRobotMetadata", modality: dict, what: str) -> list[ColumnSlice]:
    if modality.get(what):
        return _modality_slices(metadata, modality, what, modality[what])
    for key in ALONE[what]:
        if key in metadata.features and metadata.is_numeric(key):
            return [ColumnSlice(key, 0, metadata.width(key))]
    keys = [key for key in candidates(metadata) if key.startswith(BODY[what])]
    if _are_alternatives(keys):
        if what == "action":
            raise _not_found(metadata, what)
        return []
    return [ColumnSlice(key, 0, metadata.width(key)) for key in keys]


def _are_alternatives(keys: Sequence[str]) -> bool:
    """Whether columns describe the same motion in several ways, so that nobody but the user can choose."""
    words = [set(re.split(r"[._/]", key)) for key in keys]
    quantities = {frozenset(found & QUANTITIES) for found in words}
    is_pose, is_joint = any(found & POSES for found in words), any(found & JOINTS for found in words)
    return len(quantities) > 1 or (is_pose and is_joint)


def _not_found(metadata: "LeRobotMetadata", what: str) -> DatasetError:
    there = ", ".join(f"{key!r} ({width})" for key, width in candidates(metadata).items()) or "none"
    return DatasetError(
        f"cannot tell which column is the {what}; columns of numbers (and their widths): {there}. Name it, or a list to "
        f"concatenate: columns={{{what!r}: ...}}",
        metadata.source,
        file="meta/info.json",
    )


def _read_modality(metadata: "LeRobotMetadata") -> dict:
    path = metadata.source.root / MODALITY_FILE
    if not path.exists():
        return {}
    try:
        modality = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DatasetError(f"not readable JSON: {error}", metadata.source, file=MODALITY_FILE) from error
    if not isinstance(modality, dict) or not all(isinstance(value, dict) for value in modality.values()):
        raise DatasetError("not GR00T's mapping of names to slices", metadata.source, file=MODALITY_FILE)
    return modality


def _modality_slices(metadata: "LeRobotMetadata", modality: dict, what: str, names: Any) -> list[ColumnSlice]:
    slices = []
    for name in names:
        entry = modality[what][name] or {}
        key = entry.get("original_key") or {"action": ACTION, "state": STATE}[what]
        width = metadata.width(key) if key in metadata.features else 0
        start, stop = entry.get("start", 0), entry.get("end", width)
        if not 0 <= start < stop <= width:
            problem = f"{what} {name!r} is {start}:{stop} of column {key!r}, which has {width} values"
            raise DatasetError(problem, metadata.source, file=MODALITY_FILE)
        slices.append(ColumnSlice(key, start, stop, name))
    return slices


def find_cameras(metadata: "LeRobotMetadata", depth: bool) -> dict[str, str]:
    """{camera: column} of the colour (or depth) cameras, called as meta/modality.json does or by their last part."""
    keys = [key for key in metadata.camera_features if metadata.is_depth(key) == depth]
    modality = _read_modality(metadata)
    video = {(entry or {}).get("original_key", f"observation.images.{name}"): name
             for name, entry in modality.get("video", {}).items()}  # fmt: skip
    short = [video.get(key) or key.rsplit(".", 1)[-1] for key in keys]
    return {name if short.count(name) == 1 else key: key for name, key in zip(short, keys, strict=True)}


def _told_cameras(metadata: "LeRobotMetadata", told: dict, what: str) -> dict[str, str]:
    for camera, key in told[what].items():
        if key not in metadata.camera_features:
            problem = f"columns[{what!r}] names {key!r} for {camera!r}, which is no column of pictures; there are "
            raise DatasetError(problem + str(metadata.camera_features), metadata.source, file="meta/info.json")
        if what == "images" and metadata.is_depth(key):
            problem = (
                f"column {key!r} holds depth, not colour: read it in metres with columns={{'depth': ...}} and depth="
            )
            raise DatasetError(f"{problem}[{camera!r}]", metadata.source, file="meta/info.json")
    return dict(told[what])


def _short(key: str) -> str:
    """A column's name without what all columns of its kind begin with."""
    for start in (*BODY["action"], *BODY["state"], "observation."):
        if key.startswith(start) and len(key) > len(start):
            return key[len(start) :]
    return key
