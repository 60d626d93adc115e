"""What a framework's sides share: identical weights, and its training step."""
