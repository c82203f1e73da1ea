"""What reads and writes: the only modules that touch the disk."""
