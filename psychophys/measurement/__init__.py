"""From a plan over batches and sums to thresholds and their intervals."""
