"""What a machine has to do so that it holds what is wanted: pure, it touches no disk."""
