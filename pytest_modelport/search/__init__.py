"""Samples that nobody wrote: what inputs may be, in which order they are tried, how a failure is
shrunk.
"""
