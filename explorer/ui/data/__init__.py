"""What pages read: bundles, and what is derived from them once."""
