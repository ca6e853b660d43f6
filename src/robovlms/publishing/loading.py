"""A published checkpoint from its files, adapters included."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, AutoProcessor

from robovlms.modeling_robovlms import STRUCTURES


def load_checkpoint(folder: Path) -> tuple[Any, Any]:
    """Model and processor in `folder`. An adapter is put on its base: another VLA, or the vision-language model that the
    adapter's VLA was built over."""
    processor = AutoProcessor.from_pretrained(folder)
    adapter = folder / "adapter_config.json"
    if not adapter.exists():
        return AutoModel.from_pretrained(folder).eval(), processor
    from peft import PeftModel

    base = json.loads(adapter.read_text())["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(folder)
    vla = STRUCTURES[config.structure].from_pretrained(base, config=config)
    return PeftModel.from_pretrained(vla, str(folder)).eval(), processor
