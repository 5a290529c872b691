from batch_udp_network import one_processor

__all__ = ["one_processor"]
