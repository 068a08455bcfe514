"""What is measured, side by side with what a technician would do without the project. ``python -m bench``."""
