"""The checks of data sets."""
