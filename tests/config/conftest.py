from config_files import loaded, mistakes, write

__all__ = ["loaded", "mistakes", "write"]
