"""One page that tells a reader what a run found."""
