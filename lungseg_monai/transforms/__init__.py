"""Transforms that MONAI does not have, and the chains that all bundles share (chains.py)."""
