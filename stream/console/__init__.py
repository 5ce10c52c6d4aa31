"""The console: what the stream does now, and the queue of turns that people are asked to label, in a browser."""
