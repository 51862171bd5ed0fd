"""The Open Inference Protocol V2 without a transport: what REST and gRPC have in common.

`datatypes` and `tensors` read what a client sends as tensors, `asking` makes of them what the data
plane is asked, `answers` the output tensors; `parameters` are what a request may say besides.
`models` finds what a caller may ask, `metadata` and `statistics` describe it as plain dictionaries.
A transport only takes messages apart and puts them together: REST with `inference_requests` and
`inference_answers`, over `documents` and `framing`. Errors are those of `models.errors`.
"""
