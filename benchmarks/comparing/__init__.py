"""medplug's standard recipe beside what else could be done in the same minutes, and the choice of its settings."""
