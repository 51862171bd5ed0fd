"""The short way of a prediction, in front of Flask: it may only say yes (architecture.md).

What it does not recognise, or would refuse, it leaves to the application as if nobody had looked.
"""
