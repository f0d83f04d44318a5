"""What the explorer reads from run folders; records alone, no model."""
