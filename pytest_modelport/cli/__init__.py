"""The command line: `modelport ...`, one module for each group of commands."""

from pytest_modelport.cli.main import main

__all__ = ["main"]
