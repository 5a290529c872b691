"""Registers ``twistd udprelay``; udprelay is imported only if it is used."""

from twisted.application.service import ServiceMaker

udprelay = ServiceMaker(
    "udprelay", "udprelay.tap", "A relay that makes UDP programs a group.", "udprelay"
)
