"""What plugins may supply, and how each is loaded by itself."""
