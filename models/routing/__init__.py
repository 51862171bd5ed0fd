"""Which version answers a call, and what is seen of the versions while they do."""
