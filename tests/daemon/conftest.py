from console_terminal import labelled, terminal

__all__ = ["labelled", "terminal"]
