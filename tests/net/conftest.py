from net_fixtures import batch, make_peer, open_relay

__all__ = ["batch", "make_peer", "open_relay"]
