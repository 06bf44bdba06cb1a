"""What is kept: trajectories, the records in pictures, and what each process did."""
