"""Test suites that others wrote as subjects, beside plain calls of the same files.

`__main__` is the command, `suites` where subjects come from, `truth` what a plain call says,
`exports` what a plain export amounts to, `rows` what became of it.
"""
