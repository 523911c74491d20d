/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * interrupt MOMENT WHO LIMIT_S GUEST [FILE] - starts a save or restore and kills, at a chosen moment, who takes part in it.
 *
 * No sleep decides when: flicd is asked for the operation's phase, and whoever would end it is stopped (SIGSTOP): the helper, so
 * that the suspend is not missed, then flicd, so that a suspended guest is not captured. The moment between captured and
 * published lasts because FILE is on a file system that is frozen.
 *   MOMENT  live, asked, suspended, captured (of a save), filling (of a restore); asked: the guest has taken up the wish to
 *           suspend and is about to
 *   WHO     xl, helper, flicd: SIGKILL, several joined with '+'; group: SIGINT to xl's whole process group; guest: it is
 *           paused until xl has ended
 * Prints how xl ended: its exit status or "killed", then, on lines of their own, what it said. Exit status 2: it went otherwise.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenstore.h>

#define FLICD_SOCKET "/run/flic/flicd.sock"
#define SAID "/run/interrupt.said"
#define STEP_US 2000
#define SLICE_US 1000

struct scene {
    const char *moment, *who, *guest, *file;
    char frozen[256];           /* folder on the file system to freeze; "" for none */
    int limit_s, flicd;         /* flicd: connection */
    pid_t flicd_pid, xl, stopped;       /* stopped: the helper, while it is */
    uint32_t domid;             /* of the guest, for a save */
    bool paused;                /* it, by us */
    xc_interface *xch;
};

static struct scene scene = { .flicd = -1 };

/* Nobody stays stopped or frozen behind us. */
static void let_go(void)
{
    int fd = scene.frozen[0] ? open(scene.frozen, O_RDONLY) : -1;

    if (scene.stopped)
        (void)kill(scene.stopped, SIGCONT);
    if (scene.flicd_pid)
        (void)kill(scene.flicd_pid, SIGCONT);
    if (scene.paused)
        (void)xc_domain_unpause(scene.xch, scene.domid);
    if (fd >= 0) {
        (void)ioctl(fd, FITHAW, 0);     /* EINVAL: it was not frozen yet */
        (void)close(fd);
    }
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fputs("interrupt: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    if (scene.xl > 0)
        (void)kill(scene.xl, SIGTERM);
    let_go();
    exit(2);
}

/* ---- processes ---- */

/* The first process whose command line starts with `name` (its last path component), and whose parent is `parent` if not 0. */
static pid_t process_named(const char *name, pid_t parent)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while (!found && proc && (e = readdir(proc))) {
        char path[300], line[512] = "", *slash;
        int ppid = 0;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        f = atoi(e->d_name) > 0 ? fopen(path, "r") : NULL;
        if (!f)
            continue;
        (void)!fread(line, 1, sizeof(line) - 1, f);
        (void)fclose(f);
        slash = strrchr(line, '/');
        if (strcmp(slash ? slash + 1 : line, name))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        f = fopen(path, "r");
        if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &ppid) == 1 && (!parent || ppid == parent))
            found = atoi(e->d_name);
        if (f)
            (void)fclose(f);
    }
    if (proc)
        (void)closedir(proc);
    return found;
}

static pid_t helper(void)
{
    return process_named("flic-save-helper", scene.xl);
}

/* ---- what is asked again and again ---- */

static bool is_phase(const char *phase)
{
    static const char question[] = "{\"op\":\"status\"}\n";
    char answer[65536], wanted[64];
    size_t len = 0;

    if (write(scene.flicd, question, sizeof(question) - 1) != sizeof(question) - 1)
        die("flicd does not listen: %s", strerror(errno));
    while (!len || answer[len - 1] != '\n') {
        ssize_t n = read(scene.flicd, answer + len, sizeof(answer) - 1 - len);

        if (n <= 0)
            die("flicd does not answer: %s", strerror(errno));
        len += (size_t)n;
    }
    answer[len] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "\"phase\":\"%s\"", phase);
    return strstr(answer, wanted);
}

static bool is_suspended(const char *unused)
{
    xc_domaininfo_t info;

    (void)unused;
    return !xc_domain_getinfo_single(scene.xch, scene.domid, &info) && info.flags & XEN_DOMINF_shutdown;
}

static bool is_captured(const char *unused)
{
    return is_suspended(unused) && !helper();
}

static void until(bool (*is)(const char *), const char *arg, const char *what)
{
    time_t end = time(NULL) + scene.limit_s;
    int status;

    while (!is(arg)) {
        if (waitpid(scene.xl, &status, WNOHANG) == scene.xl) {
            scene.xl = 0;
            die("xl ended (status %d) before %s; it said: see " SAID, status, what);
        }
        if (time(NULL) > end)
            die("%s: not within %d s", what, scene.limit_s);
        (void)usleep(STEP_US);
    }
}

/* ---- the steps ---- */

static void start(bool restore)
{
    char *argv[] = { "xl", restore ? "restore" : "save", "--flic", "-q", (char *)scene.guest, (char *)scene.file, NULL };

    scene.xl = fork();
    if (scene.xl < 0)
        die("fork: %s", strerror(errno));
    if (scene.xl)
        return;
    (void)setsid();
    if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen(SAID, "w", stderr))
        _exit(127);
    (void)execvp(argv[0], argv);
    _exit(127);
}

static void freeze(void)
{
    char copy[256];
    int fd;

    (void)snprintf(copy, sizeof(copy), "%s", scene.file ? scene.file : "/");
    (void)snprintf(scene.frozen, sizeof(scene.frozen), "%s", dirname(copy));
    fd = open(scene.frozen, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FIFREEZE, 0))
        die("freeze %s: %s", scene.frozen, strerror(errno));
    (void)close(fd);
}

static void hold_guest(void)
{
    scene.paused = !xc_domain_pause(scene.xch, scene.domid);
    if (!scene.paused)
        die("the guest cannot be paused");
}

/* What the toolstack wrote to the guest's control/shutdown, which the guest takes away when it begins to suspend. */
static bool is_asked(struct xs_handle *store, const char *path)
{
    unsigned len = 0;
    char *value = xs_read(store, XBT_NULL, path, &len);
    bool asked = value && len;

    free(value);
    return asked;
}

/* Stops the helper in the live rounds and lets it go on when flicd wants the suspend: so that is not missed. The guest stands still
 * until the wish has reached it. */
static struct xs_handle *reach_wish(char *path, size_t room)
{
    struct xs_handle *store = xs_open(0);
    time_t end = time(NULL) + scene.limit_s;

    until(is_phase, "live", "the live rounds");
    scene.stopped = helper();
    if (!store || !scene.stopped || kill(scene.stopped, SIGSTOP))
        die("there is no helper to stop");
    until(is_phase, "suspend", "the suspend");
    hold_guest();
    (void)kill(scene.stopped, SIGCONT);
    scene.stopped = 0;
    (void)snprintf(path, room, "/local/domain/%u/control/shutdown", scene.domid);
    while (!is_asked(store, path)) {
        if (time(NULL) > end)
            die("nobody asks the guest to suspend");
        (void)usleep(STEP_US);
    }
    return store;
}

/* flicd is stopped before the guest goes on: stopped earlier it could still have the wish in a buffer of its own. */
static void reach_suspend(void)
{
    char path[64];

    xs_close(reach_wish(path, sizeof(path)));
    if (!strcmp(scene.moment, "suspended"))
        (void)kill(scene.flicd_pid, SIGSTOP);
    scene.paused = xc_domain_unpause(scene.xch, scene.domid) != 0;
    until(is_suspended, NULL, "the guest was suspended");
}

/* The guest gets its time by the slice, as far as the wish is taken up. */
static void reach_asked(void)
{
    time_t end = time(NULL) + scene.limit_s;
    char path[64];
    struct xs_handle *store = reach_wish(path, sizeof(path));

    while (is_asked(store, path)) {
        if (time(NULL) > end)
            die("the guest does not take up the wish");
        (void)xc_domain_unpause(scene.xch, scene.domid);
        (void)usleep(SLICE_US);
        hold_guest();
    }
    xs_close(store);
}

static void reach(void)
{
    if (!strcmp(scene.moment, "live")) {
        until(is_phase, "live", "the live rounds");
    } else if (!strcmp(scene.moment, "filling")) {
        until(is_phase, "pages", "the filling");
        (void)kill(scene.flicd_pid, SIGSTOP);
    } else if (!strcmp(scene.moment, "asked")) {
        reach_asked();
    } else {
        reach_suspend();
    }
    if (!strcmp(scene.moment, "captured"))
        until(is_captured, NULL, "the helper was done");
}

static void strike(void)
{
    pid_t pid;

    if (strstr(scene.who, "helper")) {
        pid = helper();
        if (!pid || kill(pid, SIGKILL))
            die("there is no helper to kill");
    }
    if (strstr(scene.who, "xl") && kill(scene.xl, SIGKILL))
        die("there is no xl to kill");
    if (strstr(scene.who, "flicd") && kill(scene.flicd_pid, SIGKILL))
        die("there is no flicd to kill");
    if (strstr(scene.who, "guest")) {
        if (!scene.paused)
            hold_guest();
        if (is_suspended(NULL))
            die("the guest was not paused before it suspended");
    }
    if (strstr(scene.who, "group") && kill(-scene.xl, SIGINT))
        die("there is no group to interrupt");
}

static void connect_flicd(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = FLICD_SOCKET };

    scene.flicd_pid = process_named("flicd", 0);
    scene.flicd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!scene.flicd_pid || connect(scene.flicd, (struct sockaddr *)&to, sizeof(to)))
        die("flicd is not there");
}

static void tell_end(void)
{
    char said[4096];
    time_t end = time(NULL) + scene.limit_s;
    size_t n;
    int status;
    FILE *f;

    while (waitpid(scene.xl, &status, WNOHANG) != scene.xl) {
        if (time(NULL) > end)
            die("xl did not end within %d s", scene.limit_s);
        (void)usleep(STEP_US);
    }
    if (WIFEXITED(status))
        printf("%d\n", WEXITSTATUS(status));
    else
        printf("killed\n");
    f = fopen(SAID, "r");
    n = f ? fread(said, 1, sizeof(said), f) : 0;
    (void)fwrite(said, 1, n, stdout);
    if (f)
        (void)fclose(f);
}

int main(int argc, char **argv)
{
    bool restore = argc > 1 && !strcmp(argv[1], "filling");
    char command[300];
    FILE *domid;

    if (argc != 5 && argc != 6)
        die("usage: interrupt live|asked|suspended|captured|filling WHO LIMIT_S GUEST [FILE]");
    scene.moment = argv[1];
    scene.who = argv[2];
    scene.limit_s = atoi(argv[3]);
    scene.guest = argv[4];
    scene.file = argv[5];
    scene.xch = xc_interface_open(NULL, NULL, 0);
    (void)snprintf(command, sizeof(command), "xl domid %s", scene.guest);
    domid = restore ? NULL : popen(command, "r");
    if (domid && (fscanf(domid, "%u", &scene.domid) != 1 || pclose(domid)))
        die("no guest %s", scene.guest);
    connect_flicd();
    if (!strcmp(scene.moment, "captured"))
        freeze();
    start(restore);
    reach();
    strike();
    if (!scene.paused)
        let_go();
    tell_end();
    if (scene.paused)
        let_go();
    return 0;
}
