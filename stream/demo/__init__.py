"""The demonstration: its conversations, the script by which they are sent, the live screen, and the report."""
