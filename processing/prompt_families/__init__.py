"""Families whose prompts or processors need something else, each with its reason."""
