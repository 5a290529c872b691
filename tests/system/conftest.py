from installation import (
    editable_installation,
    installation,
    pytest_collection_modifyitems,
    sdist,
    source,
    unprivileged,
    wheel,
)

__all__ = [
    "editable_installation",
    "installation",
    "pytest_collection_modifyitems",
    "sdist",
    "source",
    "unprivileged",
    "wheel",
]
