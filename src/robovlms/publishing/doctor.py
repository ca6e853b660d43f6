"""The examination of a checkpoint."""

from pathlib import Path

from robovlms.checkpoint.loading import checkpoint_folder
from robovlms.checkpoint.record import FILE, LIBRARIES, CheckpointRecord
from robovlms.configuration.package_version import library_versions

from .behaviour_checks import check_behaviour
from .contract_checks import check_contract, check_evaluations, read_contracts
from .file_checks import check_files, check_versions, check_weights, read_saved_versions
from .findings import Examination, Finding


def examine(name_or_path: str, revision: str | None = None) -> Examination:
    """Examine a checkpoint: its files, versions and contracts, and what it does.

    Args:
        name_or_path: folder or Hub id.
        revision: of a Hub id.
    """
    folder = checkpoint_folder(name_or_path, revision)
    record, findings = read_record(folder)
    findings += check_files(folder)
    findings += check_weights(folder, record)
    findings += check_versions(folder, record)
    contracts, faults = read_contracts(folder)
    findings += faults
    for contract in contracts.values():
        findings += check_contract(contract, record)
    findings += check_evaluations(folder, contracts)
    loadable = not any(one.level == "problem" and one.check in ("files", "weights") for one in findings) and not faults
    if loadable:
        findings += check_behaviour(folder, list(contracts.values()), record)
    else:
        findings.append(Finding("loading", "note", "not tried, because of the problems above"))
    name = folder.resolve().name if Path(name_or_path).is_dir() else name_or_path
    versions = {"saved": read_saved_versions(folder, record), "here": library_versions(LIBRARIES)}
    return Examination(name, tuple(findings), versions)


def read_record(folder: Path) -> tuple[CheckpointRecord | None, list[Finding]]:
    """Return the checkpoint's own record; without one some faults cannot be seen."""
    try:
        return CheckpointRecord.load(folder), []
    except FileNotFoundError:
        return None, [
            Finding("record", "note", f"there is no {FILE}: save model and processor together to have one written")
        ]
    except (KeyError, ValueError) as error:
        return None, [Finding("record", "problem", f"{FILE} cannot be read: {error}")]
