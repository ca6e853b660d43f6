"""A checkpoint that an older version wrote keeps loading and doing what it did. Never rewrite what lies in `frozen/`:
add a folder when the format changes."""

from pathlib import Path

import pytest
from transformers import AutoModel, AutoProcessor

from robovlms.checkpoint.record import CheckpointRecord
from robovlms.publishing.contract_checks import read_contracts

FROZEN = sorted((Path(__file__).parent / "frozen").iterdir())


@pytest.mark.parametrize("folder", FROZEN, ids=lambda folder: folder.name)
def test_old_checkpoints_load_and_act_as_ever(folder):
    record = CheckpointRecord.load(folder)
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    contracts, faults = read_contracts(folder)
    assert not faults and contracts.keys() == record.golden_samples.keys()
    for name, contract in contracts.items():
        assert contract.hash == record.contracts[name].hash == processor.contract(name).hash
        sample = record.golden_samples[name]
        assert sample.deviation(model, processor, contract) <= sample.tolerance
