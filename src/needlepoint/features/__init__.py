"""Features: text labelled by something a person can name."""
