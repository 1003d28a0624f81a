"""What the harness costs and catches, against bare calls and peers. Each file is a program: `python
-m benchmarks.NAME`.
"""
