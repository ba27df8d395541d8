"""Speed of SEG-SAM in each mode, measured in one run beside the programs in use today."""
