"""What was simulated: reading, unwrapping, storing and checking trajectories."""
