"""The web application of the explorer: pages, addresses, and who may ask."""
