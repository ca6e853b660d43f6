"""Per-dimension statistics of actions and states, computed from the rows themselves."""

import numpy as np

QUANTILES = {"q01": 0.01, "q99": 0.99}


def compute_statistics(values: np.ndarray) -> dict[str, list[float] | int]:
    """Exact q01, q99, min, max, mean, std (per dimension) and count of `values` (rows, dimensions)."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"statistics need rows x dimensions, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"non-finite values in dimensions {np.flatnonzero(~np.isfinite(values).all(0)).tolist()}")
    result: dict = {name: np.quantile(values, q, axis=0).tolist() for name, q in QUANTILES.items()}
    for name in ("min", "max", "mean", "std"):
        result[name] = getattr(values, name)(axis=0).tolist()
    return {**result, "count": len(values)}


def statistics(dataset) -> dict[str, dict]:
    """{"action": ..., "state": ... (where the dataset has one)} of all chosen episodes of a dataset.

    LeRobot's own meta/stats.json is not used: its quantiles over a dataset are averages of the episodes' quantiles.
    """
    result = {"action": compute_statistics(dataset.action)}
    if dataset.state is not None:
        result["state"] = compute_statistics(dataset.state)
    return result
