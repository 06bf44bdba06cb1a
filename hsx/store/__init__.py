"""What runs leave behind: trajectories, the records in pictures, and what each process did."""
