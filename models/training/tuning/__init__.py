"""How the best of the compared are made better: one search to a module."""
