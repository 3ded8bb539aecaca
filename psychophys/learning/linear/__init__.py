"""The experiment ``linear``: autoencoders of image patches, and their theory."""
