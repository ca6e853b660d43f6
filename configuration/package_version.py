"""The version of this package; here, so that it travels with a checkpoint's code."""

VERSION = "0.1.0"
