"""The API's own description: OpenAPI 3.1, read off the rules that every call obeys."""
