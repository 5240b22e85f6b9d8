"""The checks of schedules."""
