"""Makes ``twistd udprelay`` known; imports nothing of udprelay until it is chosen."""

from twisted.application.service import ServiceMaker

udprelay = ServiceMaker(
    "udprelay", "udprelay.tap", "A relay that makes a group of UDP programs.", "udprelay"
)
