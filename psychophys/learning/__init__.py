"""Learning experiments: networks trained here, and what they can tell apart on the way."""
