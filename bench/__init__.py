"""Programs that measure udprelay."""
