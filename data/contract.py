"""The action contract of a dataset: its names, cameras, frequency and statistics, ready for a processor."""

from typing import Any

import numpy as np

from ..configuration.action_contract import (
    ActionContract,
    CameraSpec,
    GripperSpec,
    NormalizationMode,
    Statistics,
    VectorSpec,
)
from .known_embodiments import KnownEmbodiment
from .statistics import statistics


def action_contract(
    dataset,
    n_action_steps: int = 1,
    grippers: tuple[GripperSpec, ...] | None = None,
    normalization: NormalizationMode = "quantile",
    use_state: bool = True,
    **fields: Any,
) -> ActionContract:
    """The contract under which a policy trained on `dataset` acts.

    What the dataset's files leave open (rotation, frame, mode, grippers) comes from `known_embodiments` where the
    dataset is listed there, and from `fields` before that.

    Args:
        dataset: LeRobotDataset or CalvinDataset, or one of them `Augmented`; gives chunk, window, stride, cameras, frequency, names, units and
            statistics, and names the contract by its `embodiment`, which its samples carry.
        n_action_steps: actions executed per prediction.
        grippers: the on/off dimensions. None: those of the known embodiment; else the last dimension, if its name
            contains "gripper" and it takes only two values in the data, of which the larger is taken for open; other
            grippers are regressed.
        normalization: of actions and state: "quantile", "min_max", "mean_std" or "none".
        use_state: whether the policy sees the proprioceptive state.
        fields: other fields of the contract (`rotation`, `frame`, `mode`, ...).

    Raises:
        ValueError: where a known embodiment's frequency or action width is not the dataset's.
    """
    computed = statistics(dataset)
    known = dataset.known_embodiment
    if known is not None:
        fields = _conventions(known, dataset) | fields
        grippers = known.grippers if grippers is None and dataset.transform is None else grippers
    action_names = dataset.action_names
    crop_of = getattr(dataset, "random_crop", lambda camera: None)
    units = dataset.action_units or (known.units if known is not None and dataset.transform is None else ())
    state = None
    if use_state and "state" in computed:
        state = _vector(dataset.state_names, dataset.state_units or (), computed["state"], normalization)
    return ActionContract(
        embodiment=dataset.embodiment,
        action=_vector(action_names, units, computed["action"], normalization),
        state=state,
        cameras=tuple(CameraSpec(name, *shape, crop_of(name)) for name, shape in dataset.camera_shapes.items()),
        control_frequency=float(dataset.fps),
        chunk_size=dataset.chunk_size,
        n_action_steps=n_action_steps,
        window_size=dataset.window_size,
        history_stride=dataset.history_stride,
        grippers=_grippers(action_names, dataset.action) if grippers is None else grippers,
        **fields,
    )


def _conventions(known: KnownEmbodiment, dataset) -> dict[str, Any]:
    if known.control_frequency != dataset.fps:
        raise ValueError(
            f"{dataset.origin} runs at {dataset.fps:g} Hz, the known embodiment {known.name!r} at "
            f"{known.control_frequency:g} Hz: it is not that dataset (give it another folder name)"
        )
    if dataset.transform is not None:  # its result has conventions of its own
        return {"notes": known.notes}
    if len(known.action_names) != dataset.action.shape[1]:
        raise ValueError(
            f"{dataset.origin} has {dataset.action.shape[1]} action dimensions, the known embodiment {known.name!r} "
            f"has {len(known.action_names)}: {list(known.action_names)}"
        )
    return {"rotation": known.rotation, "frame": known.frame, "mode": known.mode, "notes": known.notes}


def _vector(names, units, computed: dict[str, Any], normalization: NormalizationMode) -> VectorSpec:
    statistics = Statistics(**computed)
    return VectorSpec(tuple(names), units=tuple(units), normalization=normalization, statistics=statistics)


def _grippers(names: list[str], actions: np.ndarray) -> tuple[GripperSpec, ...]:
    if "gripper" not in names[-1].lower():
        return ()
    values = np.unique(actions[:, -1])
    if len(values) != 2:
        return ()
    return (GripperSpec(len(names) - 1, open_value=float(values[1]), closed_value=float(values[0])),)
