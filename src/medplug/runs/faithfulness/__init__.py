"""How far the maps of a run can be believed: measured method by method, with probes for shortcuts."""
