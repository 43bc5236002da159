"""Who did what: every slice writes here, and nothing is ever changed or taken back."""
