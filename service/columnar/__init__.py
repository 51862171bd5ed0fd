"""Rows and answers in files of columns: which forms there are, and how answers are written."""
