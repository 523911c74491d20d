#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""A guest that goes back and forth between two phones and must be well after each trip; and how much comes again after a broken one."""
import argparse, json, os, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from pair import dom0, link_up, phone, state  # noqa: E402

HELP = """\
trips    a guest with the `mixed` load and a disk (memory, cold files, disk, database, network) goes there and back by 'xl migrate --flic --disks
         copy'. A trip is good when the guest runs there and nowhere else, its own report has no error and moves on, and its full self-check holds:
         checksums of memory, files and disk, the database, ping and echo through the network, its wall clock within two seconds.
         trips_ok: how many were.
resume   an `idle` guest without a disk is on its way when the link is cut, then goes again: resent_share is pages that the first try had
         acknowledged, unchanged since, and that came again, over its RAM. Counted from above: received again with a content that was in the store,
         and not more than what arrived first and was not found in its place. resent_share_restarted: flicd there was killed in between.
Exit status: 0 all trips were good and no share is above 0.05, 1 otherwise."""
NAMES = ["trips-a", "trips-b"]


def show(**row):
    print(json.dumps(row), flush=True)


def moving(name):
    return json.loads(phone("guest-status", name, "t", "--json", check=False) or "{}").get("seq", 0)


def look(here, there):
    """What is wrong with the guest that has just arrived, or ''."""
    runs = {name: state(name, "t") for name in (here, there)}
    if runs != {here: "", there: "runs"}:
        return f"it is not there alone: {runs}"
    end, first = time.monotonic() + 90, 0
    while time.monotonic() < end:
        now = moving(there)
        if first and now > first:
            break
        first = first or now
        time.sleep(1)
    else:
        return f"its counter stands at {first}"
    report = json.loads(phone("guest-status", there, "t", "--json", check=False))
    if report.get("errors") or report.get("time") != "ok":
        return f"it reports {report}"
    answer = json.loads(phone("guest-verify", there, "t", check=False) or "{}")
    if not answer.get("ok") or abs(answer.get("wall_skew_ms") or 10**9) > 2000:
        return f"its self-check says {answer}"
    return ""


def trips(n):
    a, b = NAMES
    phone("guest", a, "t", "--memory", "256", "--disk", "160", "--workload", "mixed", "--limit", "900")
    dom0(a, f"ssh {b} 'cat >/guests/t.net' </guests/t.net")
    good, here, there = 0, a, b
    for number in range(1, n + 1):
        began = time.monotonic()
        said = dom0(here, f"xl migrate --flic -q --json --disks copy --max-downtime 3600000 t {there} 2>/tmp/t.err || cat /tmp/t.err", check=False).strip()
        took = time.monotonic() - began
        dom0(there, "lab-guest traffic", check=False)
        wrong = look(here, there) if said.startswith("{") else said[-600:]
        good += not wrong
        figures = json.loads(said.splitlines()[-1]) if said.startswith("{") else {}
        show(trip=number, to=there, took_s=round(took, 1), wrong=wrong,
             **{k: figures[k] for k in ("sent_pages", "there_pages", "sent_bytes", "downtime_us", "disk_bytes", "disk_same_bytes") if k in figures})
        if state(there, "t") != "runs":
            break
        here, there = there, here
    dom0(here, "xl destroy t", check=False)
    return good


def received(name):
    """The figures of the newest migration that came, or tried to."""
    entries = json.loads(dom0(name, "flic log --json"))["entries"]
    return next(e["figures"] for e in entries if e["verb"] == "receive")


def percent(name):
    """How much of the guest's memory the migration has looked at."""
    for op in json.loads(dom0(name, "flic status --json"))["operations"]:
        if op["kind"] == "migrate" and op["phase"] == "send" and op["total_bytes"]:
            return 100 * op["done_bytes"] // op["total_bytes"]
    return 0


def break_off(guest, at):
    """Its way to the other phone, cut when so much of it was looked at; both have noticed afterwards."""
    a, b = NAMES
    phone("link", a, b, "rate", "16")
    dom0(a, f"rm -f /tmp/r.*; (setsid xl migrate --flic --max-downtime 3600000 {guest} {b} >/tmp/r.out 2>/tmp/r.err; echo $? >/tmp/r.rc) "
         "</dev/null >/dev/null 2>&1 &")
    end = time.monotonic() + 300
    while percent(a) < at and time.monotonic() < end:
        time.sleep(0.2)
    phone("link", a, b, "cut")
    if dom0(a, "cat /tmp/r.rc 2>/dev/null", check=False).strip():
        sys.exit(f"{guest} was over before its link could be cut")
    while not dom0(a, "cat /tmp/r.rc 2>/dev/null", check=False).strip() and time.monotonic() < end + 300:
        time.sleep(1)
    phone("link", a, b, "mend")         # then the other one finds out
    phone("link", a, b, "rate", "0")
    while json.loads(dom0(b, "flic status --json"))["operations"] and time.monotonic() < end + 300:
        time.sleep(1)


def resume(guest, seed, restart):
    a, b = NAMES
    phone("guest", a, guest, "--memory", "256", "--disk", "0", "--scale", "512", "--workload", "idle", "--seed", str(seed), "--limit", "900")
    break_off(guest, 60)
    first = received(b)
    if restart:
        dom0(b, "kill -9 $(pidof flicd); sleep 0.5; start-flicd")
    sent = json.loads(dom0(a, f"xl migrate --flic -q --json --max-downtime 3600000 {guest} {b} 2>/dev/null").splitlines()[-1])
    second = received(b)
    dom0(b, f"xl destroy {guest}", check=False)
    again = min(second["dedup_pages"], max(0, first["received_pages"] - second["same_pages"]))
    show(guest=guest, restarted=restart, ram_pages=sent["ram_pages"], first_received=first["received_pages"], then_same=second["same_pages"],
         then_received=second["received_pages"], then_dedup=second["dedup_pages"])
    return again / sent["ram_pages"], first["received_pages"] / sent["ram_pages"]


def main():
    parser = argparse.ArgumentParser(prog="prove-trips.py", description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trips", type=int, default=20)
    parser.add_argument("--no-resume", action="store_true", help="only the trips")
    parser.add_argument("--keep", action="store_true", help="the phones trips-a and trips-b are there already, and stay")
    args = parser.parse_args()
    if not args.keep:
        link_up(NAMES)
    good = trips(args.trips) if args.trips else 0
    wrong = good != args.trips
    show(name="trips_ok", unit="trips", value=good, runs=[good])
    if not args.no_resume:
        for name, guest, seed, restart in (("resent_share", "r1", 5, False), ("resent_share_restarted", "r2", 6, True)):
            share, arrived = resume(guest, seed, restart)
            show(name=name, unit="ratio", value=share, runs=[share])
            wrong |= share > 0.05 or not arrived
    if not args.keep:
        for name in NAMES:
            phone("rm", name, check=False)
    sys.exit(1 if wrong else 0)


main()
