"""Which flags tell bad segmentations: calibrated on made chests and on damaged validation films, never on real CTs."""
