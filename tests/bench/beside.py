# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
"""FLIC, stock `xl save` and restic in the same mishaps: a byte flipped in what is stored, a disk that fills up, a kill.

FLIC and xl save one guest on one x86 phone. restic has no guests: it is given, on this machine, the file that stock xl wrote.
"""
import hashlib, json, os, random, re, shutil, subprocess, sys, tempfile, time

from lab import LAB, MIB, Phone

TOP = os.path.realpath(os.path.join(LAB, "..", ".."))
TOOLS = ("flic", "xl", "restic")
STORE, ARENA, PRISTINE = "/var/lib/flic", "/nvram/flic.arena", "/guests/pristine"
MEMORY = 192                    # of the guest, MiB
SLACK = MIB                     # what databases and file systems may have grown by is not called left behind
XL = "$(echo /usr/lib/xen-4*/bin/xl)"
STOP = "kill $(pidof flicd); while pidof flicd >/dev/null; do sleep 0.1; done"
# What a message may say: what happened, where, and what is to be done about it.
SAYS = {"what": r"no space left|no room|do(es)? not fit|\bfull\b", "where": r"/[a-z]+/[^ :']*",
        "what to do": r"make (some |more )?room|free (some |up )?(space|room)|\bforget\b|\bremove\b|\bdelete\b|\bprune\b|larger"}

# The repository, its password and what is saved come by the environment; prints "word value" lines, and what restic said of its first try.
# A command that fails is tried once more after `restic unlock`, which somebody has to type: a step.
RESTIC = r"""
used() { du -s -B1 "$RESTIC_REPOSITORY" | cut -f1; }
mended() {
    local name=$1; shift
    restic --no-cache "$@" >"$SCRATCH/out" 2>&1 && { echo "$name 1"; return; }
    restic --no-cache unlock >/dev/null 2>&1
    if restic --no-cache "$@" >/dev/null 2>&1; then echo "$name 1"; echo "step restic unlock, for restic $name"; else echo "$name 0"; fi
    grep -iE 'fatal|unable|lock' "$SCRATCH/out" | head -n 1 | sed "s/^/why restic $name: /"
}
[ "$CASE" != full ] || mount -t tmpfs -o "size=$ROOM" side "$(dirname "$RESTIC_REPOSITORY")" || exit
restic --no-cache init >/dev/null || exit
before=$(used)
if [ "$CASE" = full ]; then
    restic --no-cache backup -q "$SOURCE" >"$SCRATCH/said" 2>&1; echo "status $?"
else
    restic --no-cache backup -q "$SOURCE" >"$SCRATCH/said" 2>&1 & it=$!
    until [ "$(used)" -gt $((before + ROOM)) ]; do kill -0 $it 2>/dev/null || { echo "late 1"; exit; }; done
    kill -9 $it
    wait $it 2>/dev/null; echo "status $?"
fi
echo "left $(($(used) - before))"
[ "$CASE" != full ] || mount -o remount,size=2g "$(dirname "$RESTIC_REPOSITORY")" || exit
mended backup backup -q "$SOURCE"
mended check check
mended prune prune
echo "after $(used)"
sed 's/^/said /' "$SCRATCH/said"
"""


class Lost(Exception):
    """The campaign cannot go on: the lab failed, or what must hold before anything is spoiled does not."""


def until(seconds, asked):
    end = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


class Scene(Phone):
    """The phone with its guest 'g'."""
    faults = 0

    def tries(self, line):
        """A shell line that may fail: its status and what it said, on both streams."""
        done = subprocess.run([os.path.join(LAB, "phone"), "exec", self.name, line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode == 125:
            raise Lost(done.stdout.strip())
        return done.returncode, done.stdout.strip()

    def need(self, line):
        status, said = self.tries(line)
        if status:
            raise Lost(f"{line.splitlines()[0]}: status {status}: {said}")
        return said

    def report(self):
        """The guest's last report; healthy or not, or there is none."""
        _, said = self.tries("lab-guest status g --json")
        line = next((s for s in said.splitlines() if s.startswith("{")), "{}")
        return json.loads(line)

    def there(self):
        return self.tries("xl domid g")[0] == 0

    def runs(self, seconds=60):
        """Two more reports come, and no error in them: the first may be one that was still on its way."""
        at = self.report().get("seq", 0)
        return self.there() and until(seconds, lambda: self.report().get("seq", 0) > at + 1) and self.report().get("errors") == 0

    def alive(self):
        """A guest to go on with, whatever became of the last one."""
        if self.there() and self.runs():
            return
        self.tries("timeout 90 xl destroy g")
        self.lab("guest", self.name, "g", "--memory", str(MEMORY), "--workload", "memory", "--disk", "0", "--scale", "512", "--limit", "600")

    def emulator_faults(self):
        """Guests that ended in a triple fault with Xen's own code segment, instruction and stack pointer. Seen once, after a FLIC save; taken
        for a fault of QEMU's nested SVM, as no toolstack sets those, but not proven. How many so far; Xen's ring is emptied, as it is short."""
        self.faults += len(re.findall(r"RIP: +e008:.*\n.*CONTEXT: hvm guest", self.need("xl dmesg -c")))
        return self.faults

    def rest(self):
        if not until(120, lambda: not self.status()["operations"]):
            raise Lost("flicd does not come to rest")

    def store(self):
        """Without the index's write-ahead file, which SQLite keeps at the size it once needed."""
        self.dom0(f"sync -f {STORE}")
        return int(self.dom0(f"du -s -B1 --exclude=filler --exclude=index.sqlite-wal {STORE} | cut -f1"))

    def hashes(self, name):
        self.need(f"pagehash take $(xl domid g) /run/{name}.hashes")

    def same_memory(self):
        self.hashes("now")
        status, said = self.tries("pagehash compare --json /run/reference.hashes /run/now.hashes")
        if status > 1:
            raise Lost(f"pagehash: {said}")
        return status == 0


class Beside:
    def __init__(self, places, seed, say, name="bench-beside"):
        self.places, self.seed, self.say = places, seed, say
        self.scene = Scene(name)
        self.seen = {tool: {} for tool in TOOLS}
        self.notes = []
        self.restic_version = "restic"

    def put(self, tool, **values):
        self.seen[tool].update(values)

    def note(self, text):
        self.notes.append(text)
        self.say(text)

    def run(self):
        try:
            self.scene.lab("build", "--arch", "x86")
            with tempfile.TemporaryDirectory() as folder:
                saved = os.path.join(folder, "g.save")
                self.on_the_phone(saved)
                self.scene.rm()
                self.on_this_machine(folder, saved)
        finally:
            self.scene.rm()

    def on_the_phone(self, saved):
        scene = self.scene
        scene.up("--arch", "x86", "--ram", "2304", "--nvram", "128", "--flash", "2048", "--bootargs", "flic=off")
        # Held, so that a checkpoint stays as it is right after its save: partly in NVRAM, partly on flash.
        scene.need("sed -i 's/^nvram_size_mib.*/nvram_size_mib = 64/; $a destage = \"held\"\\ngc_live_percent = 100' /etc/flic/flicd.conf; "
                   "start-flicd")
        for step in (self.flic_full, self.flic_killed, self.flic_killed_in_pause, self.xl_full, self.xl_killed, self.flic_flips, self.xl_flips):
            began, notes, again = time.monotonic(), len(self.notes), 0
            while not self.done(step):
                again += 1
                if again == 3:
                    raise Lost(f"{step.__name__}: the emulator broke the guest three times")
                self.notes[notes:] = [f"{step.__name__}: done again: the emulator had broken the guest"]
            self.say(f"{step.__name__}: {time.monotonic() - began:.0f} s")
        scene.lab("get", scene.name, "/guests/g.save", saved)

    def done(self, step):
        """Whether the step was made, with whatever came of it; not when the emulator broke the guest meanwhile."""
        scene = self.scene
        scene.tries(f"pidof flicd >/dev/null || start-flicd; rm -f {STORE}/filler /guests/[kh].save; umount -q /run/side")
        scene.alive()
        faults = scene.emulator_faults()
        try:
            step()
            # A flip's outcome tells such a fault apart by itself.
            if step in (self.flic_flips, self.xl_flips) or scene.emulator_faults() == faults:
                return True
        except Lost:
            if scene.emulator_faults() == faults:
                raise
        self.say(f"{step.__name__}: the emulator has broken the guest: once more")
        return False

    # ---- a disk that becomes full, a kill ----

    def after(self, tool, case, steps, left, in_the_end, runs, next_save):
        """in_the_end: what is left of it when the next save is done and the tool has cleaned up (flic gc, restic prune; xl has nothing)."""
        if in_the_end > SLACK:
            steps.append("rm of the partial file" if tool == "xl" else "no command gives the room back")
        self.put(tool, **{f"{case}_left_bytes": left, f"{case}_in_the_end_bytes": max(in_the_end, 0), f"{case}_guest_runs": runs,
                          f"{case}_next_save": next_save, f"{case}_manual_steps": len(steps)})
        for step in steps:
            self.note(f"{tool}, {case}: by hand: {step}")

    def says(self, tool, said):
        said = " ".join(line for line in said.splitlines() if line.strip())
        for what, words in SAYS.items():
            self.put(tool, **{f"full_says_{what.replace(' ', '_')}": int(bool(re.search(words, said, re.I)))})
        self.note(f"{tool}, disk full, said: {said[:600]}")

    def again(self):
        """FLIC's next save, in the way of the first; then the store is emptied for the next case."""
        scene = self.scene
        status, said = scene.tries("xl save --flic -q -c g")
        bad = json.loads(scene.need("flic verify --json").splitlines()[-1])
        if status or bad["bad_objects"] or bad["checkpoints_damaged"]:
            self.note(f"flic: the next save: status {status}: {said}; verify: {bad}")
            self.say(scene.tries("xl list; flic list; tail -n 40 /var/log/flicd.log")[1])
        scene.need("flic list --json | jq -r '.checkpoints[] | \"g@\\(.seq)\"' | while read -r c; do flic forget $c; done; "
                   "for try in 1 2 3 4 5; do flic gc && exit; sleep 2; done; exit 1")       # one of flicd's own may be under way
        return int(not status and not bad["bad_objects"])

    def flic_after(self, case, before, then="true"):
        """What there is of the failed or killed save, and what the next one does; `then` is done in between."""
        scene, steps = self.scene, []
        scene.rest()
        left, runs = scene.store() - before, int(scene.runs())
        if not runs:
            self.say(scene.tries("xl list; tail -n 20 /var/log/xen/xl-g.log /var/log/xen/guest-g.log /var/log/flicd.log")[1])
            steps.append("xl resume" if scene.there() else "xl create: the guest is lost")
        scene.need(then)
        scene.alive()
        next_save = self.again()
        self.after("flic", case, steps, left, scene.store() - before, runs, next_save)

    def flic_full(self):
        """flicd looks for room ahead; something else takes it once the save has begun to write."""
        scene = self.scene
        before = scene.store()
        status, said = scene.tries(
            "(xl save --flic -q g >/run/f.said 2>&1; echo $? >/run/f.status) </dev/null >/dev/null 2>&1 & "
            "until [ -s /run/f.status ] || flic status --json | grep -q '\"phase\":\"live\"'; do :; done; "
            f"fallocate -l $(($(stat -f -c '%a * %S' {STORE}) / {MIB} - 4))M {STORE}/filler; "
            "until [ -s /run/f.status ]; do sleep 0.2; done; cat /run/f.said; exit $(cat /run/f.status)")
        if not status:
            raise Lost("FLIC's save fitted in what was left of the disk")
        self.says("flic", said)
        self.flic_after("full", before, f"rm {STORE}/filler")

    def flic_killed(self):
        """flicd is started as its unit would, by Restart=on-failure: a phone has no systemd. That is no step."""
        scene = self.scene
        before = scene.store()
        scene.need(f"setsid xl save --flic -q g >/run/k.said 2>&1 </dev/null & xl=$!; "
                   f"until [ $(du -s -B1 {STORE} | cut -f1) -gt {before + 8 * MIB} ]; do kill -0 $xl || exit; done; "
                   "kill -9 $(pgrep -P $xl) $xl $(pidof flicd); start-flicd")
        self.flic_after("kill", before)

    def flic_killed_in_pause(self):
        """Stock xl's guest stands still for all of its save; FLIC's for a part of it, which is met here."""
        scene = self.scene
        before = scene.store()
        scene.need("interrupt suspended xl+helper+flicd 240 g; xl list; start-flicd")
        self.flic_after("pause_kill", before)

    def resumed(self, steps):
        """Whether stock xl's guest runs; when it does not by itself, what somebody would type."""
        runs = self.scene.runs(20)
        if not runs:
            steps.append("xl resume")
            self.scene.tries(f"timeout 60 {XL} resume g")
            if not self.scene.runs():
                steps.append("xl destroy: the guest is lost")
        return int(runs)

    def xl_next(self, path):
        status, said = self.scene.tries(f"timeout 300 {XL} save -c g {path}")
        if status:
            self.note(f"xl: the next save: status {status}: {said}")
        self.scene.need(f"rm -f {path}")
        return int(not status)

    def xl_full(self):
        scene, steps = self.scene, []
        scene.need(f"mkdir -p /run/side; mount -t tmpfs -o size={MEMORY // 3}m side /run/side")
        status, said = scene.tries(f"timeout 300 {XL} save g /run/side/g.save")
        if not status:
            raise Lost("xl's save fitted in a third of the guest")
        left = int(scene.need("du -s -B1 /run/side | cut -f1"))
        runs = self.resumed(steps)
        self.says("xl", said)
        scene.need("mount -o remount,size=512m /run/side")
        self.after("xl", "full", steps, left, left, runs, self.xl_next("/run/side/h.save"))
        scene.need("umount /run/side")

    def xl_killed(self):
        scene, steps = self.scene, []
        scene.need(f"setsid {XL} save g /guests/k.save >/run/k.said 2>&1 </dev/null & xl=$!; "
                   f"until [ $(stat -c %s /guests/k.save 2>/dev/null || echo 0) -gt {MEMORY // 3 * MIB} ]; do kill -0 $xl || exit; done; "
                   "kill -9 $(pgrep -P $xl) $xl")
        left = int(scene.need("sync -f /guests; stat -c %s /guests/k.save"))
        runs = self.resumed(steps)
        if steps[-1:] == ["xl destroy: the guest is lost"]:
            scene.alive()
        self.after("xl", "kill", steps, left, left, runs, self.xl_next("/guests/h.save"))
        scene.need("rm /guests/k.save")

    # ---- a byte flipped ----

    def picked(self, stretches):
        """Places of a byte each, even over stretches (path, from, length); another seed for each list would not make them more random."""
        rng, total = random.Random(self.seed), sum(n for _, _, n in stretches)
        for at in sorted(rng.randrange(total) for _ in range(self.places)):
            for path, begin, n in stretches:
                if at < n:
                    yield path, begin + at
                    break
                at -= n

    def count(self, tool, outcomes):
        self.put(tool, flip_places=len(outcomes), flip_refused=outcomes.count("refused"), flip_whole=outcomes.count("whole"),
                 flip_missed=sum(o.startswith("missed") for o in outcomes))
        if tool != "restic":        # which has no guest that could go on
            self.put(tool, flip_crashed=outcomes.count("missed, crashed"), flip_guest_found=outcomes.count("missed, found"))

    def outcome(self, status, said):
        """Of a paused restore, which is then let go if its memory is not what was saved. No guest is left."""
        scene = self.scene
        if status:
            result = "refused" if not scene.there() else "refused, with a domain left"
        elif scene.same_memory():
            result = "whole"
        else:
            at = scene.report().get("seq", 0)
            faults = scene.emulator_faults()
            scene.need("xl unpause g")
            if not until(40, lambda: scene.report().get("seq", 0) > at + 1):
                result = "missed, crashed" if scene.emulator_faults() == faults else "missed, then broken by the emulator"
            else:
                result = "missed, unaware" if scene.tries("timeout 90 lab-guest verify g")[0] == 0 else "missed, found"
        scene.tries("timeout 90 xl destroy g")
        return result, said.splitlines()[-1] if status and said else ""

    def reference(self, restore):
        """Two restores of what is whole must not differ, or a difference says nothing."""
        self.scene.need(restore)
        self.scene.hashes("reference")
        self.scene.need(f"xl destroy g; {restore}")
        if not self.scene.same_memory():
            raise Lost("two restores of the same differ")
        self.scene.need("xl destroy g")

    def flic_stretches(self):
        """All sealed packs, and of the arena, whose file has its full size from the start, what was ever written."""
        packs = self.scene.need(f"cd {STORE}/packs && stat -c '%s %n' *.pack").splitlines()
        stretches = [(f"{STORE}/packs/{name}", 0, int(size)) for size, name in map(str.split, packs)]
        for line in self.scene.need(f"sync -f /guests; filefrag -b4096 -v {PRISTINE}/arena").splitlines():
            m = re.match(r" *\d+: +(\d+)\.\. +(\d+):", line)
            if m and "unwritten" not in line:
                stretches.append((ARENA, int(m[1]) * 4096, (int(m[2]) - int(m[1]) + 1) * 4096))
        return stretches

    def flic_flips(self):
        scene, outcomes = self.scene, []
        # Nothing of earlier saves, and of this one no pages that were written again before its end: flips there would prove little.
        scene.need(f"{STOP}; rm -rf {STORE}/* {ARENA}; start-flicd; xl save --flic -q g && flic gc")
        scene.need(f"{STOP}; sync; mkdir -p {PRISTINE}/store; cp -a {STORE}/. {PRISTINE}/store; "
                   f"cp --sparse=always {ARENA} {PRISTINE}/arena; start-flicd")
        self.reference("xl restore --flic -q -p g")
        stretches = self.flic_stretches()
        size = sum(n for _, _, n in stretches)
        self.say(f"flic: {size / MIB:.1f} MiB, {sum(n for p, _, n in stretches if p == ARENA) / MIB:.1f} of them in NVRAM")
        put_back = f"{STOP}; rm -rf {STORE}/*; cp -a {PRISTINE}/store/. {STORE}; dd if={PRISTINE}/arena of={ARENA} bs=1M conv=notrunc status=none"
        for path, at in self.picked(stretches):
            # All as it was after the save: a look at what is damaged may change what is stored. flicd anew, as it keeps what it has read.
            scene.need(f"{put_back}; spoil at {path} {at}")
            status, said = scene.tries("start-flicd && timeout 300 xl restore --flic -q -p g")
            result, said = self.outcome(status, said)
            outcomes.append(result)
            self.note(f"flic: byte {at} of {path}: {result}{': ' if said else ''}{said}")
        scene.need(f"{put_back}; start-flicd; xl restore --flic -q g")
        self.count("flic", outcomes)

    def xl_flips(self):
        scene, outcomes, path = self.scene, [], "/guests/g.save"
        scene.need(f"timeout 300 {XL} save g {path}")
        self.reference(f"timeout 300 {XL} restore -p {path}")
        size = int(scene.need(f"stat -c %s {path}"))
        for path, at in self.picked([(path, 0, size)]):
            scene.need(f"spoil at {path} {at}")
            result, said = self.outcome(*scene.tries(f"timeout 300 {XL} restore -p {path}"))
            scene.need(f"spoil at {path} {at}")
            outcomes.append(result)
            self.note(f"xl: byte {at} of its {size}: {result}{': ' if said else ''}{said}")
        self.count("xl", outcomes)

    # ---- restic, on this machine ----

    def fetched(self):
        """Debian's package, of the suite that the phones run, by way of this machine's apt sources; nothing is installed."""
        script = ('set -e; . "$1/scripts/lib/cache.sh"; . "$1/scripts/lib/apt.sh"; arch=$(dpkg --print-architecture); '
                  'apt_open "$FLIC_CACHE/apt/$FLIC_SUITE-$arch" "$FLIC_SUITE" "$arch"; deb=$(apt_debs restic | grep /restic_); '
                  'dir=$FLIC_CACHE/restic/$(basename "$deb" .deb); unpack() { apt_unpack "$1" "$deb"; }; '
                  'cache_once "$dir" unpack; echo "$dir/usr/bin"')
        done = subprocess.run(["bash", "-c", script, "restic", TOP], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise Lost("restic could not be fetched")
        return done.stdout.splitlines()[-1]

    def on_this_machine(self, folder, saved):
        began, place = time.monotonic(), self.fetched()
        self.env = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", "RESTIC_PASSWORD": "beside", "SOURCE": saved, "SCRATCH": folder,
                    "TMPDIR": folder}
        self.restic_version = " ".join(self.restic("version")[1].split()[:2])
        self.restic_flips(folder, saved)
        half = self.restic_size // 2
        self.restic_case("full", os.path.join(folder, "small", "repo"), half, ["unshare", "-m"] + ([] if os.getuid() == 0 else ["-r"]))
        for attempt in range(5):        # it may be done before it is met
            if self.restic_case("kill", os.path.join(folder, f"killed{attempt}", "repo"), half, []):
                break
        else:
            raise Lost("restic was done before it could be killed, five times")
        self.say(f"restic: {time.monotonic() - began:.0f} s")

    def restic(self, *words):
        done = subprocess.run(["restic", "--no-cache", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", env=self.env)
        return done.returncode, done.stdout.strip()

    def restic_flips(self, folder, saved):
        self.env["RESTIC_REPOSITORY"] = repo = os.path.join(folder, "flips")
        for words in (("init",), ("backup", "-q", saved)):
            status, said = self.restic(*words)
            if status:
                raise Lost(f"restic {words[0]}: {said}")
        files = sorted(os.path.join(at, name) for at, _, names in os.walk(repo) for name in names)
        stretches = [(path, 0, os.path.getsize(path)) for path in files]
        self.restic_size = sum(n for _, _, n in stretches)
        self.restic_used = int(subprocess.run(["du", "-s", "-B1", repo], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0])
        wanted, outcomes, target = self.digest(saved), [], os.path.join(folder, "restored")
        for path, at in self.picked(stretches):
            self.flip(path, at)
            status, said = self.restic("restore", "latest", "--target", target)
            result = "refused" if status else "whole" if self.digest(target + saved) == wanted else "missed, unaware"
            self.flip(path, at)
            shutil.rmtree(target, ignore_errors=True)
            outcomes.append(result)
            self.note(f"restic: byte {at} of {os.path.relpath(path, repo)[:24]}: {result}{': ' + said.splitlines()[-1] if status and said else ''}")
        self.count("restic", outcomes)

    @staticmethod
    def digest(path):
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").digest()

    @staticmethod
    def flip(path, at):
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 0x18]))

    def restic_case(self, case, repo, room, prefix):
        os.makedirs(os.path.dirname(repo), exist_ok=True)
        env = {**self.env, "RESTIC_REPOSITORY": repo, "CASE": case, "ROOM": str(room)}
        done = subprocess.run([*prefix, "bash", "-c", RESTIC], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", env=env)
        rows = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
        first = dict(reversed(rows))
        if "late" in first:
            return False
        if "prune" not in first or first["status"] == "0":
            raise Lost(f"restic, {case}: {done.stdout}")
        if case == "full":
            self.says("restic", "\n".join(value for word, value in rows if word == "said"))
        for word, value in rows:
            if word == "why":
                self.note(f"{case}: {value}")
        steps = ["restic unlock"] if any(word == "step" for word, _ in rows) else []
        self.after("restic", case, steps, int(first["left"]), int(first["after"]) - self.restic_used, None, int(first["backup"]))
        return True

    # ---- what came of it ----

    UNITS = {"flip_places": "places", "flip_refused": "places", "flip_whole": "places", "flip_missed": "places", "flip_crashed": "places",
             "flip_guest_found": "places", "left_bytes": "bytes", "in_the_end_bytes": "bytes", "manual_steps": "steps"}

    def figures(self):
        for tool in TOOLS:
            for key, value in self.seen[tool].items():
                if value is not None:
                    unit = next((u for k, u in self.UNITS.items() if key.endswith(k)), "1 = yes")
                    yield f"beside_{key}_{tool}", unit, value

    AFTER = (("  bytes left behind", "left_bytes"), ("  of them after the next save and gc, prune", "in_the_end_bytes"),
             ("  the guest runs on by itself", "guest_runs"), ("  the next save works", "next_save"),
             ("  steps by hand until all is as before", "manual_steps"))
    ROWS = (("a byte flipped in what is stored, then a restore", None), ("  places tried, each alone", "flip_places"),
            ("  noticed: refused", "flip_refused"), ("  restored whole: nothing needed that byte", "flip_whole"),
            ("  restored with wrong bytes, nothing said", "flip_missed"), ("    of these: the guest crashed", "flip_crashed"),
            ("    of these: the guest found it by its own check", "flip_guest_found"),
            ("the disk becomes full during the save", None), *((label, f"full_{key}") for label, key in AFTER),
            ("  the message says what happened", "full_says_what"), ("  the message says where", "full_says_where"),
            ("  the message says what to do", "full_says_what_to_do"),
            ("kill -9 of all of it while it writes", None), *((label, f"kill_{key}") for label, key in AFTER),
            ("the same while the guest stands still (xl: it always does)", None), *((label, f"pause_kill_{key}") for label, key in AFTER))

    def table(self):
        print(f"{'':<60}{'FLIC':>14}{'stock xl':>14}{self.restic_version:>16}")
        for label, key in self.ROWS:
            cells = ["" if key is None else self.cell(key, self.seen[tool].get(key)) for tool in TOOLS]
            print(f"{label:<60}{cells[0]:>14}{cells[1]:>14}{cells[2]:>16}".rstrip())
        print()
        for text in self.notes:
            print(text)

    def cell(self, key, value):
        if value is None:
            return "-"
        numbers = any(key.endswith(k) for k in self.UNITS)
        return f"{value:,}" if numbers else "yes" if value else "no"
