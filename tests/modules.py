"""Modules of models, as a user would have them, for tests to write down."""

MODULE = """
import torch
class Branch(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1
def branch():
    return Branch(), torch.ones(3)
def linear():
    return torch.nn.Linear(3, 2).eval(), torch.ones(1, 3)
"""
