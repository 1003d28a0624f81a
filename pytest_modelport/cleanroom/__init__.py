"""Processes that open artifacts, the installations they run in, and what lives as long as a run."""
