"""What goes with a checkpoint when it is saved: its code and its record."""

from robovlms.configuration.save_listeners import LISTENERS
from robovlms.remote_code import CodeOnSave
from robovlms.serving.checkpoint_record import RecordOnSave

LISTENERS.extend([CodeOnSave(), RecordOnSave()])
