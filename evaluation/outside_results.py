"""Evaluations that ran in a simulator's own Python (see `workers/`): their results as evaluation records."""

from pathlib import Path
from typing import Any

from .journal import FILE, read_results
from .record import ChainScores, EvaluationRecord


def record_of_folder(folder: str | Path, policy: str | None = None) -> EvaluationRecord:
    """Return the record of a worker's folder of results.

    Args:
        folder: what the worker was given as `--output`.
        policy: name of the policy for the record, instead of what the server called it.

    Raises:
        FileNotFoundError: there are no results.
        ValueError: no episode has finished.
    """
    file = Path(folder) / FILE
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file; a worker's --output holds it")
    first, parts, minutes = read_results(file)
    if not parts:
        raise ValueError(f"{file}: no episode has finished")
    main, chains = parts.pop("policy", []), parts.pop("chains", [])
    if parts:
        raise ValueError(f"{file}: results of unknown parts {sorted(parts)}")
    protocol = first["protocol"] | ({} if policy is None else {"policy": policy})
    how: dict[str, Any] = {
        "tasks": list(dict.fromkeys(result.task for result in main)),
        "worker": first["worker"],
    }
    if chains:
        how["chain_length"] = max(len(chain.chain) for chain in chains)
    return EvaluationRecord.of_results(
        main,
        minutes=minutes,
        controls={},
        chains=ChainScores.of_results(chains) if chains else None,
        protocol=how,
        **protocol,
    )
