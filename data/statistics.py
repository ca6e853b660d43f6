"""Per-dimension statistics of actions and states, computed from the rows themselves in one pass."""

from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from .errors import DatasetError

QUANTILES = {"q01": 0.01, "q99": 0.99}
HARDLY = 1e-4  # q01 ... q99 is no range where it is a smaller part of min ... max than this


class StreamingStatistics:
    """Statistics of rows that arrive in pieces.

    Exact (equal to numpy's on all rows together) up to `exact_rows` rows. Beyond that, quantiles come from histograms
    and are off by at most `quantile_error` (in the dimension's units); everything else stays exact.

    Args:
        exact_rows: rows kept as they are; above, memory no longer grows.
        bins: of each dimension's histogram; the range covered grows by doubling, so at least half of the bins lie
            between the minimum and the maximum.
    """

    def __init__(self, exact_rows: int = 2**21, bins: int = 2**16):
        self.exact_rows, self.bins = exact_rows, bins
        self.count = 0
        self._rows: list[np.ndarray] | None = []
        self._histograms: list[_Histogram] = []

    def update(self, values: np.ndarray) -> None:
        """Adds rows (rows, dimensions). Raises ValueError where they are not finite."""
        values = np.asarray(values, np.float64)
        if values.ndim != 2:
            raise ValueError(f"statistics need rows x dimensions, got shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"non-finite values in dimensions {np.flatnonzero(~np.isfinite(values).all(0)).tolist()}")
        if not len(values):
            return
        if self.count == 0:
            self._mean = np.zeros(values.shape[1])
            self._squares = np.zeros(values.shape[1])
            self._min, self._max = values.min(0), values.max(0)
        if values.shape[1] != len(self._mean):
            raise ValueError(f"rows have {values.shape[1]} dimensions, earlier ones had {len(self._mean)}")
        self._min, self._max = np.minimum(self._min, values.min(0)), np.maximum(self._max, values.max(0))
        total, mean = self.count + len(values), values.mean(0)
        shift = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(0) + shift**2 * self.count * len(values) / total
        self._mean += shift * len(values) / total
        self.count = total
        if self._rows is not None:
            self._rows.append(values)
            if total > self.exact_rows:
                rows, self._rows = np.concatenate(self._rows), None
                self._histograms = [_Histogram(column, self.bins) for column in rows.T]
        else:
            for histogram, column in zip(self._histograms, values.T, strict=True):
                histogram.add(column)

    @property
    def exact(self) -> bool:
        """Whether quantiles are those of the rows themselves."""
        return self._rows is not None

    @property
    def quantile_error(self) -> list[float]:
        """Bound of the quantiles' error per dimension, in its units."""
        return [0.0] * len(self._mean) if self.exact else [histogram.width for histogram in self._histograms]

    def result(self, origin: str = "unknown") -> dict:
        """q01, q99, min, max, mean, std (lists, one value per dimension), count, origin."""
        if not self.count:
            raise ValueError("statistics of no rows")
        if self._rows is not None:
            rows = np.concatenate(self._rows)
            self._rows = [rows]
            exact = {name: np.quantile(rows, q, axis=0) for name, q in QUANTILES.items()}
            quantiles = exact | {"mean": rows.mean(0), "std": rows.std(0)}
        else:
            quantiles = {name: np.array([h.quantile(q) for h in self._histograms]) for name, q in QUANTILES.items()}
            quantiles = {name: np.clip(value, self._min, self._max) for name, value in quantiles.items()}
            quantiles |= {"mean": self._mean, "std": np.sqrt(self._squares / self.count)}
        result = quantiles | {"min": self._min, "max": self._max}
        names = ("q01", "q99", "min", "max", "mean", "std")
        return {name: result[name].tolist() for name in names} | {"count": self.count, "origin": origin}


class _Histogram:
    """Counts of one dimension in equal bins; a value outside doubles the range (pairs of bins become one)."""

    def __init__(self, values: np.ndarray, bins: int):
        self.low = values.min()
        self.width = max((values.max() - self.low) / bins, abs(self.low) * 1e-12, 1e-12)
        self.counts = np.zeros(bins, np.int64)
        self.add(values)

    def add(self, values: np.ndarray) -> None:
        bins = len(self.counts)
        low, high = values.min(), values.max()
        while low < self.low or high > self.low + self.width * bins:
            pairs = self.counts.reshape(-1, 2).sum(1)
            empty = np.zeros(bins // 2, np.int64)
            if low < self.low:
                self.low -= self.width * bins
                self.counts = np.concatenate([empty, pairs])
            else:
                self.counts = np.concatenate([pairs, empty])
            self.width *= 2
        places = ((values - self.low) / self.width).astype(np.int64)
        self.counts += np.bincount(np.minimum(places, bins - 1), minlength=bins)

    def quantile(self, q: float) -> float:
        ranks = np.cumsum(self.counts)
        place = int(np.searchsorted(ranks, q * (ranks[-1] - 1), side="right"))
        return self.low + (place + 0.5) * self.width


def compute_statistics(values: np.ndarray | Iterable[np.ndarray], origin: str = "unknown", **options) -> dict:
    """q01, q99, min, max, mean, std, count, origin of rows x dimensions, or of an iterable of such pieces.

    `options` are those of `StreamingStatistics`. The dict is what `ActionContract`'s `Statistics` holds.
    """
    streaming = StreamingStatistics(**options)
    for piece in [values] if isinstance(values, np.ndarray) else values:
        streaming.update(piece)
    return streaming.result(origin)


def statistics(dataset, **options) -> dict[str, dict]:
    """{"action": ..., "state": ... (where the dataset has one)} of a dataset or of a mixture of one embodiment.

    LeRobot's own meta/stats.json is not used: its quantiles over a dataset are averages of the episodes' quantiles.
    The origin names each dataset, its revision and its transform. Where a dimension moves in less than one frame of a
    hundred, q01 and q99 would be one value, and normalising by them would lose the motion: there they are min and max,
    and the origin says so.
    """
    parts = getattr(dataset, "datasets", [dataset])
    widths = {part.action.shape[1] for part in parts}
    embodiments = {part.embodiment for part in parts}
    if len(embodiments) > 1 or len(widths) > 1:
        raise DatasetError(
            f"statistics are per embodiment, and here are {sorted(embodiments)} with actions of {sorted(widths)} "
            "dimensions: use statistics_by_embodiment",
            "mixture",
        )
    origin = "; ".join(part.origin for part in parts)
    names = {"action": parts[0].action_names}
    if all(part.state is not None for part in parts):
        names["state"] = parts[0].state_names
    result = {}
    for key in names:
        pieces = tqdm((getattr(part, key) for part in parts), f"statistics of {key}", len(parts), delay=2)
        result[key] = _with_rare_motion(compute_statistics(pieces, origin, **options), names[key])
    return result


def _with_rare_motion(computed: dict, names: list[str]) -> dict:
    """min and max in place of q01 and q99 where these are (all but) one value although the dimension moves."""
    low, high = np.array(computed["q01"]), np.array(computed["q99"])
    least, most = np.array(computed["min"]), np.array(computed["max"])
    rare = (high - low <= HARDLY * (most - least)) & (most > least)
    if not rare.any():
        return computed
    said = ", ".join(name for name, is_rare in zip(names, rare, strict=True) if is_rare)
    computed = computed | {"q01": np.where(rare, least, low).tolist(), "q99": np.where(rare, most, high).tolist()}
    return computed | {"origin": f"{computed['origin']} | q01, q99 of {said}: min, max (rare motion)"}


class _Group:
    def __init__(self, datasets: list):
        self.datasets = datasets


def statistics_by_embodiment(dataset, **options) -> dict[str, dict[str, dict]]:
    """{embodiment: {"action": ..., "state": ...}} of a dataset or mixture."""
    groups: dict[str, list] = {}
    for part in getattr(dataset, "datasets", [dataset]):
        groups.setdefault(part.embodiment, []).append(part)
    return {name: statistics(_Group(parts), **options) for name, parts in groups.items()}
