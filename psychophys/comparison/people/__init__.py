"""People's data and formulas, one file a field; :data:`psychophys.REFERENCES` holds them all."""
