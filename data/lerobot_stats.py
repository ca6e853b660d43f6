"""The ten statistics that LeRobot stores per feature, for one episode and for a whole dataset."""

from collections.abc import Sequence

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
MAX_IMAGES = 64  # images of an episode that its image statistics are computed from


def vector_stats(values: np.ndarray) -> dict[str, list]:
    """Statistics of (rows, width), exact. NaNs (absent labels) are left out; a dimension without values gives 0."""
    values = np.asarray(values, np.float64)
    values = values.reshape(len(values), -1)
    columns = [column[~np.isnan(column)] for column in values.T]
    columns = [column if len(column) else np.zeros(1) for column in columns]
    stats = {name: [float(getattr(column, name)()) for column in columns] for name in ("min", "max", "mean", "std")}
    stats["count"] = [len(values)]
    quantiles = np.array([np.quantile(column, list(QUANTILES.values())) for column in columns])
    return stats | dict(zip(QUANTILES, quantiles.T.tolist(), strict=True))


def image_stats(images: np.ndarray) -> dict[str, list]:
    """Per-channel statistics in [0, 1] of uint8 (frames, height, width, 3), shaped (3, 1, 1), from up to 64 frames."""
    images = images[np.linspace(0, len(images) - 1, min(len(images), MAX_IMAGES)).astype(int)]
    levels = np.arange(256) / 255
    channels = []
    for channel in range(3):
        histogram = np.bincount(images[..., channel].ravel(), minlength=256)
        total = histogram.sum()
        present = levels[histogram > 0]
        mean = float(histogram @ levels / total)
        stats = {"min": present[0], "max": present[-1], "mean": mean}
        stats["std"] = np.sqrt(max(0.0, histogram @ levels**2 / total - mean**2))
        ranks = np.cumsum(histogram)
        stats |= {name: levels[np.searchsorted(ranks, q * total)] for name, q in QUANTILES.items()}
        channels.append(stats)
    result: dict = {name: [[[float(stats[name])]] for stats in channels] for name in channels[0]}
    return result | {"count": [len(images)]}


def merge_stats(episodes: Sequence[dict[str, list]]) -> dict[str, list]:
    """Statistics of several episodes together: exact but for the quantiles, which are weighted averages."""
    counts = np.array([stats["count"][0] for stats in episodes], np.float64)
    arrays = {name: np.array([stats[name] for stats in episodes]) for name in episodes[0]}
    weights = (counts / counts.sum()).reshape(-1, *[1] * (arrays["mean"].ndim - 1))
    mean = (weights * arrays["mean"]).sum(0)
    variance = (weights * (arrays["std"] ** 2 + (arrays["mean"] - mean) ** 2)).sum(0)
    merged = {"min": arrays["min"].min(0), "max": arrays["max"].max(0), "mean": mean, "std": np.sqrt(variance)}
    merged |= {name: (weights * arrays[name]).sum(0) for name in QUANTILES}
    return {name: value.tolist() for name, value in merged.items()} | {"count": [int(counts.sum())]}
