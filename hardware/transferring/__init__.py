"""Latency on a new device from some ten measurements of it, and from the latencies of other devices."""

from hardware.transferring.making import choose_measurements, transfer
from hardware.transferring.model import TransferredLatency

__all__ = ["TransferredLatency", "choose_measurements", "transfer"]
