"""Families that need more than the general adapter, each with its reason."""
