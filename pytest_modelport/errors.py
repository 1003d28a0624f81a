"""Exceptions that may leave Modelport. A bad port is a verdict; these are for bad requests."""

from __future__ import annotations


class ModelportError(Exception):
    """Base of everything Modelport raises on purpose."""


class UsageError(ModelportError, ValueError):
    """The request itself cannot be carried out; the message names the value and the fix."""
