# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""What the benchmarks share: a phone with one guest 'g', and a table of figures."""
import json, os, statistics, subprocess, sys, time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab")
MIB = 1 << 20


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Phone:
    def __init__(self, name):
        self.name = name

    def lab(self, *words):
        done = subprocess.run([os.path.join(LAB, "phone"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"bench: phone {' '.join(words)} ended with status {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def up(self, *options):
        self.lab("up", self.name, "--fresh", *options)

    def rm(self):
        subprocess.run([os.path.join(LAB, "phone"), "rm", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def dom0(self, line):
        return self.lab("exec", self.name, line)

    def status(self):
        return json.loads(self.dom0("flic status --json"))

    def guest(self, memory, workload, scale):
        self.lab("guest", self.name, "g", "--memory", str(memory), "--scale", str(scale), "--workload", workload, "--gap", "yes",
                 "--limit", "900")

    def gap_ms(self):
        return int(self.lab("guest-gap", self.name, "g")) / 1000

    def flash_bytes(self):
        self.dom0("sync -f /var/lib/flic")
        return json.loads(self.lab("flash", self.name, "store", "stats"))["written_bytes"]

    def track(self):
        """Tracks the guest until hardly anything it leaves unwritten is still to be copied."""
        self.dom0("flic track g >/dev/null")
        end, last = time.monotonic() + 600, -1
        while time.monotonic() < end:
            entry = self.status()["tracked"][0]
            copied = entry.get("copied_pages", 0)
            if entry.get("epochs", 0) > 12 and copied - last < 64:
                return
            last = copied
            time.sleep(4)
        say("copying ahead has not come to rest in 10 minutes")

    def idle(self):
        while True:
            here = json.loads(self.dom0("flic list --json"))["checkpoints"]
            if not self.status()["operations"] and all("flash" in c["places"] for c in here):
                return
            time.sleep(1)

    def tune(self, epoch_ms=1000):
        """Copying ahead may take what it needs to come to rest in minutes under an emulator; its pace has tests of its own."""
        keys = {"track_kib_per_s": 65536, "track_cpu_percent": 90, "track_epoch_min_ms": epoch_ms, "track_epoch_max_ms": max(epoch_ms, 8000)}
        self.configure(*(f"{key} = {value}" for key, value in keys.items()))

    def configure(self, *lines):
        """flicd again, with these lines behind its own configuration."""
        lines = " ".join(f"'{line}'" for line in lines)
        self.dom0("cp -n /etc/flic/flicd.conf /tmp/flicd.conf.was; cp /tmp/flicd.conf.was /etc/flic/flicd.conf; "
                  f"printf '%s\\n' {lines} >>/etc/flic/flicd.conf; kill $(pidof flicd); "
                  "while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd")


class Table:
    def __init__(self, as_json):
        self.as_json = as_json

    def row(self, name, unit, runs, value=None):
        value = statistics.median(runs) if value is None else value
        if self.as_json:
            print(json.dumps({"name": name, "unit": unit, "value": round(value, 4), "runs": [round(r, 4) for r in runs]}), flush=True)
        else:
            print(f"{name:<34}{value:>16,.3f} {unit:<6} of {len(runs)}: {min(runs):,.3f} to {max(runs):,.3f}", flush=True)
