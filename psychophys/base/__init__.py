"""What everyone may use: errors, files that are written whole, types."""
