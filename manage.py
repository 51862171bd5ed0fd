#!/usr/bin/env python3
"""Sallyport's command line."""

from __future__ import annotations

from service.commands.cli import main

if __name__ == "__main__":
    main()
