"""The Open Inference Protocol V2 over gRPC: a program of its own, on a port of its own.

`program` and `workers` are its processes, `listener` and `transport` how they are reached,
`server` takes calls in, `callers` knows who calls, `methods` what each call does; `requests` and
`responses` turn messages into what the data plane is asked and back, `refusals` words errors.
"""
