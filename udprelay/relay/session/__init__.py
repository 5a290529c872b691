"""What the relay keeps for session members, each part by itself."""
