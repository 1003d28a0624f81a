"""What a port must answer: eager, the float64 oracle, the noise around it, where each number comes
from.
"""
