"""What the scripts in src/ share."""
