"""All systems for CT beside one another, on the same test patients."""
