"""The description of one model for programs: OpenAPI 3.1, made from what a version takes and gives.

`columns` and `outputs` say that in JSON Schema; one module for each dialect says how it is asked
there; `document` cuts all of it out of the description of the whole API.
"""
