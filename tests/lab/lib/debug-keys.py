#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""debug-keys.py SERIAL KEYS: turns a phone's serial port to Xen, presses each key, prints the answers, and turns it back."""
import socket
import sys
import time

SWITCH = b"\x01\x01\x01"


def answer(port):
    """All that comes until half a second of silence."""
    text = b""
    port.settimeout(0.5)
    try:
        while part := port.recv(65536):
            text += part
    except TimeoutError:
        pass
    return text


with socket.socket(socket.AF_UNIX) as serial:
    serial.connect(sys.argv[1])
    serial.sendall(SWITCH)
    if b"Serial input to Xen" not in answer(serial):     # it was there before: switch once more
        serial.sendall(SWITCH)
        answer(serial)
    for key in sys.argv[2]:
        serial.sendall(key.encode())
        time.sleep(0.2)
        sys.stdout.write(answer(serial).decode(errors="replace"))
    serial.sendall(SWITCH)
    answer(serial)
