# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""Turns the device tree that QEMU would give Xen into the phone's, and writes the boot stub.

usage: device-tree.py BASE.dts PHONE.dts STUB RAM-MIB NVRAM-MIB

Given -kernel, QEMU writes each of its memory nodes into the tree as /memory, and Xen would give the NVRAM to Dom0 as
free RAM. So Xen is not the -kernel: a stub of a few instructions is, which puts our tree in x0 and jumps to Xen.
In our tree the second memory node is a "pmem-region" (Linux: Documentation/devicetree/bindings/pmem).
"""
import re
import struct
import sys

RAM_BASE = 0x40000000   # QEMU's virt machine
DTB_AT = 0x47000000     # where machine.sh loads the tree
XEN_AT = 0x40400000     # and Xen


def cells(value):
    return "0x%x 0x%x" % (value >> 32, value & 0xFFFFFFFF)


def phone_tree(source, ram, nvram):
    base = RAM_BASE + ram
    node = "pmem@%x { compatible = \"pmem-region\"; reg = <%s %s>; };" % (base, cells(base), cells(nvram))
    source, found = re.subn(r"memory@%x \{.*?\};" % base, node, source, flags=re.S)
    if found != 1:
        sys.exit("device-tree: no memory node at 0x%x in QEMU's tree" % base)
    source = re.sub(r"numa-node-id = <[^>]*>;", "", source)
    return re.sub(r"distance-map \{.*?\};", "", source, flags=re.S)


def stub():
    def load(register, value):
        low = 0xD2800000 | (value & 0xFFFF) << 5 | register                      # movz
        high = 0xF2800000 | 1 << 21 | (value >> 16 & 0xFFFF) << 5 | register     # movk, lsl 16
        return [low, high]
    words = load(0, DTB_AT) + load(1, 0) + load(2, 0) + load(3, 0) + load(16, XEN_AT) + [0xD61F0000 | 16 << 5]  # br x16
    return struct.pack("<%dI" % len(words), *words)


def main():
    base, phone, stub_path, ram, nvram = sys.argv[1:]
    with open(base, encoding="ascii") as f:
        tree = phone_tree(f.read(), int(ram) << 20, int(nvram) << 20)
    with open(phone, "w", encoding="ascii") as f:
        f.write(tree)
    with open(stub_path, "wb") as f:
        f.write(stub())


main()
