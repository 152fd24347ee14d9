"""The commands of `lungseg-prep`, one a file: `add` gives the parser its options, `run` calls the library."""
