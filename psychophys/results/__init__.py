"""Tables with provenance, and what can be read off them."""
