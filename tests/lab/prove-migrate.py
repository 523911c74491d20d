#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""Migrations between two phones, each disturbed at a random moment: never two guests, and one soon after both can talk again."""
import argparse, json, os, random, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from pair import dom0, link_up, phone, state  # noqa: E402

SETTLE_S = 10
HELP = """\
One guest (memory load, scaled down: a trip is short, and much of it is where the guest changes hands; no disk) goes back and forth between two linked
phones. In each run, at a random moment, one of these: the link is cut (and mended 4 to 25 s later); xl or flicd is killed, on either side (flicd is
started again at once); the power of either phone is cut, one time in two with what flash had not flushed lost too, and it boots again; nothing. Every
half second both are asked whether the guest runs there. Then the guest must run on exactly one side within --settle seconds (times FLIC_LAB_PATIENCE)
after both can talk again, and its own checks must hold. After a power cut it may run nowhere: then exactly one of the two must be willing to bring it up
from its newest checkpoint, and the other not. Half of the moments are within four seconds of its suspend.
Exit status: 0 kill_wrong is 0, 1 otherwise."""


def states(names):
    return {n: state(n) for n in names}


def restart_flicd(name):
    dom0(name, "pidof flicd >/dev/null || start-flicd", check=False)


DISTURBANCES = ["link", "xl-here", "xl-there", "flicd-here", "flicd-there", "power-here", "power-there", "nothing"]


def cut_power(name):
    phone("cut", name, *(["--lose-unflushed"] if random.random() < 0.5 else []))
    phone("up", name)


def restore(name):
    """Brings the guest up from its newest checkpoint there: '' done, else what was said."""
    return dom0(name, "xl restore --flic -q g >/dev/null 2>/tmp/r.err || { cat /tmp/r.err; echo refused; }", check=False).strip()


def bring_up(here, there, until):
    """Of a guest that runs nowhere: on which phones it may be brought up, and what the others say. On one of them it runs then."""
    willing, said = [], {}
    while not willing and time.monotonic() < until:
        for name in (here, there):
            said[name] = restore(name)
            if not said[name]:
                willing.append(name)
        time.sleep(1)
    return willing, said


def disturb(kind, here, there):
    if kind == "link":
        phone("link", here, there, "cut")
        time.sleep(random.uniform(4, 25))
        phone("link", here, there, "mend")
    elif kind.startswith("xl"):
        dom0(here if kind == "xl-here" else there, "pkill -9 -x xl", check=False)
    elif kind.startswith("flicd"):
        at = here if kind == "flicd-here" else there
        dom0(at, "kill -9 $(pidof flicd); sleep 0.5; start-flicd", check=False)
    elif kind.startswith("power"):
        cut_power(here if kind == "power-here" else there)


def one_run(number, here, there, args, longest):
    started = time.monotonic()
    dom0(here, f"rm -f /tmp/m.rc; (setsid xl migrate --flic -q --max-downtime 600000 g {there} >/tmp/m.out 2>/tmp/m.err; echo $? >/tmp/m.rc) "
         "</dev/null >/dev/null 2>&1 &")
    in_pause = random.random() < 0.5
    kind, moment = random.choice(args.kinds), random.uniform(0, 4 if in_pause else longest)
    two, disturbed, ended, since, seen = 0, False, None, None if in_pause else started, {}
    while ended is None and time.monotonic() - started < 400:
        if in_pause and since is None and seen.get(here) == "waits":
            since = time.monotonic()
        if not disturbed and since is not None and time.monotonic() - since >= moment:
            disturb(kind, here, there)
            disturbed = True
        seen = states((here, there))
        two += list(seen.values()).count("runs") > 1
        rc = dom0(here, "cat /tmp/m.rc 2>/dev/null", check=False).strip()
        if rc or (disturbed and kind in ("xl-here", "power-here")):
            ended = rc or "killed"
        time.sleep(0.2)
    for name in (here, there):
        restart_flicd(name)
    end = time.monotonic() + args.settle * args.patience
    while time.monotonic() < end:
        seen = states((here, there))
        two += list(seen.values()).count("runs") > 1
        if sorted(seen.values()) == ["", "runs"]:
            break
        time.sleep(0.5)
    willing, refused = [], {}
    if disturbed and kind.startswith("power") and "runs" not in seen.values():
        willing, refused = bring_up(here, there, time.monotonic() + args.settle * args.patience)
        seen = states((here, there))
    good = sorted(seen.values()) == ["", "runs"]
    where = there if seen[there] == "runs" else here
    healthy = good and healthy_at(where)
    took = time.monotonic() - started
    result = {"run": number, "kind": kind if disturbed else "too late", "moment_s": round(moment, 1), "in_pause": in_pause, "took_s": round(took, 1), "status": ended, "two": two, "where": where,
              "one": good, "healthy": healthy, "states": seen, "brought_up": willing}
    if not good or not healthy or two:
        result["said"] = dom0(here, "cat /tmp/m.err", check=False)[-600:]
        result["refused"] = refused
    return result


def healthy_at(name):
    """Its counter moves and it has found no error."""
    first = json.loads(phone("guest-status", name, "g", "--json", check=False) or "{}")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        now = json.loads(phone("guest-status", name, "g", "--json", check=False) or "{}")
        if first and now.get("seq", 0) > first.get("seq", 0):
            return now.get("errors") == 0 and now.get("time") == "ok"
        first = first or now
        time.sleep(1)
    return False


def main():
    parser = argparse.ArgumentParser(prog="prove-migrate.py", description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--settle", type=float, default=SETTLE_S)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=DISTURBANCES, help="of " + ",".join(DISTURBANCES))
    parser.add_argument("--scale", type=int, default=64, help="of the guest's load: MiB of the guest that it would fit (64)")
    parser.add_argument("--json", help="a line for each run goes there")
    parser.add_argument("--keep", action="store_true", help="the phones prove-a and prove-b are there already, and stay")
    args = parser.parse_args()
    args.patience = int(os.environ.get("FLIC_LAB_PATIENCE", "3"))
    if not set(args.kinds) <= set(DISTURBANCES):
        parser.error("--kinds takes " + ",".join(DISTURBANCES))
    random.seed(args.seed)
    print(f"# seed {args.seed}", flush=True)
    names = ["prove-a", "prove-b"]
    if not args.keep:
        link_up(names)
        phone("guest", names[0], "g", "--memory", "192", "--disk", "0", "--workload", "memory", "--scale", str(args.scale), "--limit", "900")
        dom0(names[0], "xl save --flic -q -c g")     # what a power cut before the first migration leaves
    here, there = names
    if state(there) == "runs":
        here, there = there, here
    wrong = two = 0
    longest = 30.0
    for number in range(1, args.runs + 1):
        r = one_run(number, here, there, args, longest)
        print(json.dumps(r), flush=True)
        if args.json:
            with open(args.json, "a") as out:
                out.write(json.dumps(r) + "\n")
        two += r["two"] > 0
        wrong += not r["one"] or not r["healthy"] or r["two"] > 0
        if not r["one"]:
            break       # nothing can be said about what follows
        if r["status"] == "0":
            longest = 0.9 * longest + 0.1 * r["took_s"]
        here, there = (there, here) if r["where"] == there else (here, there)
    print(json.dumps({"name": "kill_runs", "unit": "runs", "value": number, "runs": [number]}))
    print(json.dumps({"name": "kill_two", "unit": "runs", "value": two, "runs": [two]}))
    print(json.dumps({"name": "kill_wrong", "unit": "runs", "value": wrong, "runs": [wrong]}))
    if not args.keep:
        for name in names:
            phone("rm", name, check=False)
    sys.exit(1 if wrong else 0)


main()
