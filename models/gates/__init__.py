"""Whether a version may become champion: rules, facts, and the verdict with its reasons."""
