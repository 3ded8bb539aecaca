"""The Fisher matrix of a photograph's pixels in a layer, by its products: ends of its spectrum, its trace."""
