"""The time axis: detections linked into changes, and activity counted."""
