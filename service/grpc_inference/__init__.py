"""The Open Inference Protocol V2 over gRPC: a program of its own, on a port of its own.

`program` is its processes; `listener`, `transport` and `profile` are how they are reached.
`server` takes calls in and bounds them, `callers` knows who calls, `arrivals` and `asking` take a
message through the gates, `methods` says what each method does. `requests` and `responses` turn
messages into what the data plane is asked and back, `refusals` words errors. The messages are
described in the `.proto` files, which `proto_files` reads and `messages` makes classes of.
"""
