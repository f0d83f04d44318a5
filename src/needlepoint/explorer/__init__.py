"""The explorer: a web application on this machine, over run folders and a live model."""
