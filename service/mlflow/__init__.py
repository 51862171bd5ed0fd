"""MLflow's scoring protocol without a transport: `requests` reads the JSON forms, `csv_rows`
the CSV form, `frames` fits data frames to a model's columns as MLflow enforces a schema.
"""
