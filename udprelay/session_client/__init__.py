"""A client's membership of one room, without input and output."""
