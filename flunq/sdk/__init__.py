"""What plugins and functions are written against."""
