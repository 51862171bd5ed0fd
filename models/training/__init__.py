"""From a table to a model: prepared, compared, tuned, evaluated; run in processes of its own.

`spec`, `progress` and `wishes` are plain: whoever orders a training imports them. All else brings
scikit-learn, and is imported where a training runs.
"""
