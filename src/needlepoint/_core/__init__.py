"""What every part may use: errors, seeds, axis names, records, files, packages."""
