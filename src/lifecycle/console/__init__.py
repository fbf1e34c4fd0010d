"""What is printed while a run goes on."""
