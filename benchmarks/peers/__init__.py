"""Other servers of the same models, each in a folder with what it needs: see benchmarks/README.md.

A server is started from an environment of its own. It finds its models in `BENCH_MODELS`, listens
on the port `BENCH_PORT` of the loopback interface, and has `BENCH_WORKERS` processes.
"""
