"""The commands of `lungseg`, one file each: add(commands) and run(arguments) -> exit code."""
