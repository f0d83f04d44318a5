"""What the explorer asks of a loaded model, and the studies that it starts."""
