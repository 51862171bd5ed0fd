"""Rows and answers in files of columns: which forms there are, and how answers are written."""

from __future__ import annotations
