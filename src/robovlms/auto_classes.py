"""Importing this makes the VLAs known to transformers' `AutoConfig`, `AutoModel` and `AutoProcessor`."""

import robovlms.modeling_robovlms
import robovlms.processing  # noqa: F401
