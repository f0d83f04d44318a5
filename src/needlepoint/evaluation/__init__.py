"""How found things are judged, and the runs that leave records."""
