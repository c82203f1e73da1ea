"""The types that flow along the line: no input or output, no algorithms."""
