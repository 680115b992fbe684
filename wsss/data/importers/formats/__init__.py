"""One file per label format."""
