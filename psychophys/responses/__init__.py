"""Images in, the response and the derivative of every layer out."""
