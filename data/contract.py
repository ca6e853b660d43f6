"""The action contract of a dataset: its names, cameras, frequency and statistics, ready for a processor."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..configuration.action_contract import (
    ActionContract,
    CameraSpec,
    GripperSpec,
    LearnedActions,
    NormalizationMode,
    Statistics,
    VectorSpec,
)
from ..configuration.action_transforms import ActionTransform
from ..configuration.serialization import StrictRecord
from .conventions_declared import complete
from .known_embodiments import KnownEmbodiment, known_recording
from .statistics import statistics

GRIPPERS = ("grip", "claw", "jaw", "hand", "finger")  # in the names of on/off dimensions


@dataclass(frozen=True)
class GripperChoice(StrictRecord):
    """An on/off dimension of a dataset's actions, by name or by index, where `GripperSpec` has its index only.

    Args:
        open_value, closed_value: in the dataset's units.
        name, dim: which dimension; one of the two.
    """

    open_value: float
    closed_value: float
    name: str | None = None
    dim: int | None = None

    def validate(self) -> None:
        if (self.name is None) == (self.dim is None):
            raise ValueError(f"grippers: give each its 'name' or its 'dim', got name={self.name!r}, dim={self.dim}.")

    def among(self, names: Sequence[str]) -> GripperSpec:
        """Return the gripper of an action with these names; raises ValueError listing them where its name is not
        there."""
        if self.dim is not None:
            return GripperSpec(self.dim, self.open_value, self.closed_value)
        if self.name is None or self.name not in names:
            raise ValueError(f"grippers: no action dimension is called {self.name!r}, there are {list(names)}.")
        return GripperSpec(list(names).index(self.name), self.open_value, self.closed_value)


def action_contract(
    dataset,
    n_action_steps: int = 1,
    grippers: Sequence[GripperSpec | GripperChoice] | None = None,
    normalization: NormalizationMode = "quantile",
    use_state: bool = True,
    units: Sequence[str] | None = None,
    **fields: Any,
) -> ActionContract:
    """Return the contract under which a policy trained on `dataset` acts.

    What the dataset's files leave open (rotation, frame, mode, grippers) comes from `known_embodiments` where the
    dataset is listed there, and from `fields` before that. What nobody says and the numbers show (`infer_conventions`) is
    taken from them, with the evidence in `notes`; what they don't show either stays "unknown". All this is of the actions
    as they were recorded, which the robot gets; a dataset's transform and what it makes of them go into `learned`.

    Args:
        dataset: LeRobotDataset, CalvinDataset or RLDSDataset, or one of them `Augmented`; gives chunk, window, stride, cameras,
            frequency, names, units and statistics, and names the contract by its `embodiment`, which its samples carry.
        n_action_steps: actions executed per prediction.
        grippers: the on/off dimensions. None: those of the known embodiment; else every dimension that takes only two
            values in the data and whose name contains "grip", "claw", "jaw", "hand" or "finger", or that an opening in the
            state follows (where names only number: every dimension of two values); the larger value is taken for open unless the state shows otherwise; other
            grippers are regressed.
        normalization: of actions and state: "quantile", "min_max", "mean_std" or "none".
        use_state: whether the policy sees the proprioceptive state; where there is none, a warning says so. A transform
            that refers to it gets it in any case.
        units: of the action's dimensions; the dataset's own, or those of the known embodiment, by default.
        fields: other fields of the contract (`rotation`, `frame`, `mode`, ...).

    Raises:
        ValueError: where a known embodiment's frequency or action width is not the dataset's, or the numbers contradict
            the mode, the rotation or a gripper that is said; where `use_state` is True, no column was taken for the state, and some could be.
    """
    transform, augmented = dataset.transform, dataset
    if transform is not None:
        transform.require_registered()
        dataset = dataset.as_recorded()
        vector = _vector(augmented.action_names, (), statistics(augmented)["action"], normalization)
        fields["learned"] = LearnedActions(transform, vector, sees_state=use_state or not transform.uses_state)
    computed = statistics(dataset)
    known = dataset.known_embodiment or known_recording(dataset.embodiment, dataset.action_names, dataset.fps)
    if known is not None:
        fields = _conventions(known, dataset) | fields
        grippers = known.grippers if grippers is None else grippers
    action_names = dataset.action_names
    crop_of = getattr(augmented, "random_crop", lambda camera: None)
    shapes: dict[str, tuple[int, int]] = dataset.camera_shapes
    if grippers is not None:
        grippers = tuple(one.among(action_names) if isinstance(one, GripperChoice) else one for one in grippers)
    fields, opens = complete(dataset, fields, grippers, known)
    if units is None:
        units = dataset.action_units or (known.units if known is not None else ())
    state = None
    if use_state and "state" not in computed:
        _say_that_no_state_is_there(dataset)
    elif use_state or (transform is not None and transform.uses_state):
        state = _vector(dataset.state_names, dataset.state_units or (), computed["state"], normalization)
    return ActionContract(
        embodiment=dataset.embodiment,
        action=_vector(action_names, units, computed["action"], normalization),
        state=state,
        cameras=tuple(CameraSpec(name, height, width, crop_of(name)) for name, (height, width) in shapes.items()),
        control_frequency=float(dataset.fps),
        chunk_size=dataset.chunk_size,
        n_action_steps=n_action_steps,
        window_size=dataset.window_size,
        history_stride=dataset.history_stride,
        grippers=_grippers(action_names, dataset.action, transform, opens) if grippers is None else grippers,
        **fields,
    )


def _conventions(known: KnownEmbodiment, dataset) -> dict[str, Any]:
    if known.control_frequency != dataset.fps:
        raise ValueError(
            f"{dataset.origin} runs at {dataset.fps:g} Hz, the known embodiment {known.name!r} at "
            f"{known.control_frequency:g} Hz: it is not that dataset (give it another folder name)"
        )
    if len(known.action_names) != dataset.action.shape[1]:
        raise ValueError(
            f"{dataset.origin} has {dataset.action.shape[1]} action dimensions, the known embodiment {known.name!r} "
            f"has {len(known.action_names)}: {list(known.action_names)}"
        )
    return {"rotation": known.rotation, "frame": known.frame, "mode": known.mode, "notes": known.notes}


def _vector(names, units, computed: dict[str, Any], normalization: NormalizationMode) -> VectorSpec:
    statistics = Statistics(**computed)
    return VectorSpec(tuple(names), units=tuple(units), normalization=normalization, statistics=statistics)


def _say_that_no_state_is_there(dataset) -> None:
    if candidates := getattr(dataset, "state_candidates", []):
        raise ValueError(
            f"{dataset.origin}: use_state is True, and no column was taken for the state. Name it with columns = "
            f"{{'state': ...}} (RLDS: state = ...), one of {candidates}, or say use_state=False."
        )
    warnings.warn(
        f"{dataset.origin} has no proprioceptive state: the policy sees its cameras alone. use_state=False says so.",
        stacklevel=3,
    )


def _grippers(
    names: list[str], actions: np.ndarray, transform: ActionTransform | None, opens: dict[int, bool]
) -> tuple[GripperSpec, ...]:
    """Every dimension of two values that is called a gripper or the like, or that opens or closes something as measured; where
    names only number, every one of two values.
    Those that the transform rewrites are left to regression. The larger value is open where `opens` doesn't know better."""
    numbered = all(re.fullmatch(r"\D*\d+", name) for name in names)
    rewritten = set() if transform is None else transform.rewritten(names)
    found = []
    for dim, name in enumerate(names):
        called_so = numbered or any(word in name.lower() for word in GRIPPERS)
        if (called_so or dim in opens) and name not in rewritten:
            values = np.unique(actions[:, dim])
            if len(values) == 2:
                smaller, larger = float(values[0]), float(values[1])
                found.append(GripperSpec(dim, *((larger, smaller) if opens.get(dim, True) else (smaller, larger))))
    return tuple(found)
