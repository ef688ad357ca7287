"""Training: schedules, compiled steps, the two phases, checkpoints."""
