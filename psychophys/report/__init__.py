"""Reports: results in, one page of HTML out."""
