"""The register: models, their versions and aliases, what is stored of them and what happened."""
