"""The class form of a portable test beside pytest-torch's ModelSuite: same model, same targets,
faults planted in the model.
"""
