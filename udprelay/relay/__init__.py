"""The relay without input and output: datagrams and time in; deliveries, events, deadlines out."""
