"""The action contract of a dataset: its names, cameras, frequency and statistics, ready for a processor."""

from typing import Any

import numpy as np

from ..configuration.action_contract import ActionContract, CameraSpec, GripperSpec, Statistics, VectorSpec
from .lerobot import LeRobotDataset
from .statistics import statistics


def action_contract(
    dataset: LeRobotDataset,
    embodiment: str | None = None,
    n_action_steps: int = 1,
    grippers: tuple[GripperSpec, ...] | None = None,
    normalization: str = "quantile",
    use_state: bool = True,
    **fields: Any,
) -> ActionContract:
    """The contract under which a policy trained on `dataset` acts.

    Args:
        dataset: gives chunk, window, stride, cameras, frequency, names, units and statistics.
        embodiment: name of the contract; the dataset's `embodiment` by default.
        n_action_steps: actions executed per prediction.
        grippers: the on/off dimensions. None: the last dimension, if its name contains "gripper" and it takes only
            two values in the data, of which the larger is taken for open; other grippers are regressed.
        normalization: of actions and state: "quantile", "min_max", "mean_std" or "none".
        use_state: whether the policy sees the proprioceptive state.
        fields: other fields of the contract (`rotation`, `frame`, `mode`, ...).
    """
    embodiment = embodiment or dataset.embodiment
    computed = statistics(dataset)
    metadata = dataset.metadata
    action = _vector(dataset, "action", computed["action"], normalization)
    state = None
    if use_state and "state" in computed:
        state = _vector(dataset, "observation.state", computed["state"], normalization)
    return ActionContract(
        embodiment=embodiment,
        action=action,
        state=state,
        cameras=tuple(CameraSpec(name, *metadata.image_shape(key)) for name, key in dataset.camera_keys.items()),
        control_frequency=float(dataset.fps),
        chunk_size=dataset.chunk_size,
        n_action_steps=n_action_steps,
        window_size=dataset.window_size,
        history_stride=dataset.history_stride,
        grippers=_grippers(action.names, dataset.action) if grippers is None else grippers,
        **fields,
    )


def _vector(dataset: LeRobotDataset, key: str, computed: dict[str, Any], normalization: str) -> VectorSpec:
    metadata = dataset.metadata
    names = metadata.names(key) or [f"{key.split('.')[-1]}_{index}" for index in range(metadata.width(key))]
    return VectorSpec(
        names=names,
        units=metadata.units(key) or (),
        normalization=normalization,
        statistics=Statistics(**computed, origin=_origin(dataset)),
    )


def _grippers(names: tuple[str, ...], actions: np.ndarray) -> tuple[GripperSpec, ...]:
    if "gripper" not in names[-1].lower():
        return ()
    values = np.unique(actions[:, -1])
    if len(values) != 2:
        return ()
    return (GripperSpec(len(names) - 1, open_value=float(values[1]), closed_value=float(values[0])),)


def _origin(dataset: LeRobotDataset) -> str:
    """Hub id and revision, or the folder's own name: nothing of the machine it lies on."""
    source = dataset.metadata.source
    return source.root.resolve().name if source.is_local else f"{source.name}@{source.revision}"
