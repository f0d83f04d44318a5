"""The device that a benchmark runs on, and its name for the record."""

from __future__ import annotations

import argparse
import sys

import torch

CPU = torch.device("cpu")


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option `--device`."""
    parser.add_argument("--device", default="cpu", help="'cuda' for a card; the CPU if not given")


def device_of(name: str) -> torch.device:
    """The device of a name, made sure to be there; ends with status 2 and one sentence if not."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device == CPU or (
        device is not None and device.type == "cuda" and torch.cuda.is_available()
    ):
        return device
    print(
        f"device {name!r} cannot be used here: give 'cpu', or 'cuda' on a machine with a card.",
        file=sys.stderr,
    )
    raise SystemExit(2)


def wait(device: torch.device) -> None:
    """Wait until a card has done what it was given, so that the clock tells how long it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_entry(device: torch.device) -> dict[str, str]:
    """What a record says of the device."""
    if device.type == "cpu":
        return {"device": "cpu"}
    return {"device": str(device), "card": torch.cuda.get_device_name(device)}
