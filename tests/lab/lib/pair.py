# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""What the campaigns on two linked phones share."""
import os, subprocess, sys

PHONE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "phone")


def phone(*words, check=True):
    done = subprocess.run([PHONE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode:
        sys.exit(f"phone {' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def dom0(name, line, check=True):
    return phone("exec", name, line, check=check)


def state(name, guest="g"):
    """'runs', 'waits' (suspended, paused, dying) or '' (no such domain), on that phone."""
    out = dom0(name, f"xl list {guest} 2>/dev/null | tail -n 1", check=False).split()
    if len(out) < 5 or out[0] != guest:
        return ""
    return "waits" if set(out[4]) & set("psd") else "runs"


def link_up(names, *options):
    """Two fresh phones on one wire."""
    for name in names:
        phone("up", name, "--fresh", "--ram", "2048", "--nvram", "512", "--flash", "1024")
    phone("link", *names, *options)
