"""Sallyport against other servers of the same models: `make bench`, see benchmarks/README.md.

`loads` are what is sent, `dialects` how each server wants it; `peers` and `platform` start servers
through `servers`, `generators` load them from outside, `rounds` take turns; `report` tells.
"""
