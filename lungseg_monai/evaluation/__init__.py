"""Scores of saved masks against the original label files: `scores.evaluate`, `tables.write_scores`, `text.table`."""
