"""Chest radiographs through `lungseg segment`: found, read, judged, written and shown."""
