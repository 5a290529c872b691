"""The only place that touches sockets and the reactor's clock."""
