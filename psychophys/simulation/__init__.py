"""Simulated observers that decide: trials, psychometric functions, their table."""
