"""How much Modelport sees: exported ONNX graphs with one thing changed, and who notices."""
