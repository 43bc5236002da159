"""What people type: arguments in, words out."""
