"""What goes with a checkpoint when it is saved or published: its code, its record and its card."""

from robovlms.configuration.save_listeners import LISTENERS
from robovlms.publishing.card_on_upload import CardOnUpload

from .code import CodeOnSave
from .record import RecordOnSave

LISTENERS.extend([CodeOnSave(), RecordOnSave(), CardOnUpload()])
