"""Grids of studies: models x questions x methods x repeats, planned, run, resumed, verified."""
