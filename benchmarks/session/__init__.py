"""What a session costs: twelve routes through Modelport, through bare calls, and through
pytest-torch's parity helpers.
"""
