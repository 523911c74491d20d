/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The table of verbs: everything that --help, the manual page and the completions must agree on. */
#include "cli/cmd.h"

static const struct argp_option dry_run_option[] = {
    { "dry-run", CMD_OPTION_DRY_RUN, NULL, 0, "Say what would be freed and change nothing", 0 },
    { 0 },
};

static const struct argp_option verify_options[] = {
    { "all", CMD_OPTION_ALL, NULL, 0, "Everything there is; so is it without DOMAIN", 0 },
    { "paced", CMD_OPTION_PACED, NULL, 0, "As slowly as verify_kib_per_s in flicd.conf says", 0 },
    { 0 },
};

static const struct argp_option fsck_option[] = {
    { "rebuild", CMD_OPTION_REBUILD, NULL, 0, "Write the index anew from NVRAM and packs", 0 },
    { 0 },
};

static const struct argp_option claim_option[] = {
    { "dry-run", CMD_OPTION_DRY_RUN, NULL, 0, "Say what would be decided and change nothing", 0 },
    { 0 },
};

static const struct argp_option limit_option[] = {
    { "limit", 'n', "N", 0, "At most the newest N entries; 0 is all (default 20)", 0 },
    { 0 },
};

static const struct argp_option watch_option[] = {
    { "watch", CMD_OPTION_WATCH, NULL, 0, "Show it again every second until Ctrl-C", 0 },
    { 0 },
};

static const struct argp_option protect_options[] = {
    { "every", CMD_OPTION_EVERY, "TIME", 0, "A checkpoint so often: 5s, 2m, 1h ... from 1s to 24h (default 5s)", 0 },
    { "keep", CMD_OPTION_KEEP, "N", 0, "Keep the newest N of them, 1 to 32 (default 3)", 0 },
    { "ram-only", CMD_OPTION_RAM_ONLY, NULL, 0, "Leave the guest's disks out", 0 },
    { 0 },
};

static const struct argp_option copy_options[] = {
    { "backup", CMD_OPTION_BACKUP, NULL, 0, "Only copy it: the guest stays the phone's that it is copied from", 0 },
    { "ram-only", CMD_OPTION_RAM_ONLY, NULL, 0, "Copy its memory alone, if it has disks: they stay", 0 },
    { NULL, 's', "COMMAND", 0, "What reaches PEER, instead of ssh: it gets PEER and a command behind it", 0 },
    { "quiet", 'q', NULL, 0, "No progress and no summary", 0 },
    { 0 },
};

const struct cmd_verb cmd_verbs[] = {
    { "status", "what flicd, the hypervisor, NVRAM and flash are doing", "",
      "Shows the state of flicd, of the hypervisor's capabilities, of NVRAM and of the store on flash, and the "
      "operations under way.",
      CMD_NO_ARGUMENT, NULL, cmd_status, cmd_status_print },
    { "list", "the checkpoints that can be restored", "[DOMAIN]",
      "Lists checkpoints, newest first: of all guests, or of DOMAIN, a name or uuid.",
      CMD_MAY_TARGET, NULL, cmd_list, cmd_list_print },
    { "show", "one checkpoint in full", "DOMAIN[@N] | FILE",
      "Shows one checkpoint: where its bytes are, its disks, its guest's configuration. Without @N the newest.",
      CMD_TARGET, NULL, cmd_show, cmd_show_print },
    { "log", "what saves, restores and the rest did, with figures", "[DOMAIN[@N] | FILE]",
      "Lists the journal, newest first. With @N or a FILE it shows every entry of that checkpoint in full: the pause "
      "by phase, pages by kind, bytes to NVRAM and flash, pages found in the store already.",
      CMD_MAY_TARGET, limit_option, cmd_log, cmd_log_print },
    { "forget", "give up one checkpoint", "DOMAIN@N | FILE",
      "Forgets one checkpoint for good. Its number is never used again. A FILE stays where it is and refers to nothing "
      "from then on.",
      CMD_TARGET, dry_run_option, cmd_forget, cmd_forget_print },
    { "pin", "keep one checkpoint whatever the rules say", "DOMAIN@N | FILE",
      "Keeps one checkpoint: no rule of flicd.conf drops it, and 'flic forget' refuses it until 'flic unpin'.",
      CMD_TARGET, NULL, cmd_pin, cmd_pin_print },
    { "unpin", "end that", "DOMAIN@N | FILE",
      "Ends 'flic pin'.",
      CMD_TARGET, NULL, cmd_unpin, cmd_pin_print },
    { "gc", "give back flash that no checkpoint needs", "",
      "Forgets what the rules of flicd.conf no longer keep, removes packs of which nothing is in use, and rewrites those of which little is, so that the rest can be given back. Runs beside "
      "saves and restores. flicd does it by itself when idle, slowly; this does it now, as fast as it goes.",
      CMD_NO_ARGUMENT, dry_run_option, cmd_gc, cmd_gc_print },
    { "verify", "read everything that is stored and set aside what is bad", "[DOMAIN[@N] | FILE]",
      "Reads every page, every page-map leaf and every root of one checkpoint or of all, from flash and NVRAM, against their checksums and "
      "ids. A pack with something bad in it is set aside, after what is good in it, and what lies elsewhere too, was moved to another; "
      "checkpoints that need what is lost are shown as damaged, and a restore refuses them. Cut off, it goes on where it was: by itself when "
      "flicd is there again, or when you say so again.",
      CMD_MAY_TARGET, verify_options, cmd_verify, cmd_verify_print },
    { "fsck", "whether the index says what NVRAM and packs say", "",
      "Checks the index, which only mirrors what NVRAM and packs say. With --rebuild it is written anew from them; one that is damaged or was "
      "removed is set aside first, and its journal with it. Forgotten checkpoints stay forgotten. flicd does as much by itself when it "
      "starts. For the pages themselves: flic verify.",
      CMD_NO_ARGUMENT, fsck_option, cmd_fsck, cmd_fsck_print },
    { "drain", "move everything from NVRAM to flash now", "",
      "Moves every checkpoint that lies in NVRAM alone to flash, also while 'flic hold' holds that, and says which could not be moved. Then the "
      "arena can be replaced by one of another size or in another place: see flicd(8).",
      CMD_NO_ARGUMENT, NULL, cmd_drain, cmd_drain_print },
    { "track", "copy a guest to flash ahead of its save", "DOMAIN",
      "Tracks what DOMAIN, a name or uuid, writes, and copies what it leaves unwritten for some epochs to flash in the "
      "background, at the pace that flicd.conf gives. A save of it then copies only the rest. It stays so until 'flic untrack', "
      "also when the guest or flicd starts again.",
      CMD_TARGET, NULL, cmd_track, cmd_track_print },
    { "untrack", "no longer copy a guest ahead of its save", "DOMAIN",
      "Ends 'flic track', or what 'track' in flicd.conf says for this guest.",
      CMD_TARGET, NULL, cmd_untrack, cmd_track_print },
    { "wss", "how much a tracked guest writes again and again", "DOMAIN",
      "Plots the size of the write set of DOMAIN, which must be tracked, over its last epochs: pages written in at least two of "
      "eight epochs. It is a write set: pages that are only read are not in it, so it is not how much memory the guest needs.",
      CMD_TARGET, watch_option, cmd_wss, cmd_wss_print },
    { "protect", "checkpoint a guest that runs on, again and again", "DOMAIN",
      "Makes a checkpoint of a running guest and of its disks every so often and keeps the newest few; the guest runs on. "
      "Answers when the first one is published. After a power cut a restore of DOMAIN brings back the last one: what "
      "the guest wrote or sent since then is rolled back. The setting outlives flicd and the guest. Only checkpoints that "
      "this made are ever dropped.",
      CMD_TARGET, protect_options, cmd_protect, cmd_protect_print },
    { "unprotect", "end that", "DOMAIN",
      "Ends 'flic protect'. The checkpoints it made stay until they are forgotten.",
      CMD_TARGET, NULL, cmd_unprotect, cmd_unprotect_print },
    { "push", "copy a checkpoint to another phone", "DOMAIN[@N] | FILE PEER",
      "Copies a checkpoint to the phone PEER, where ssh finds it, without bringing the guest up: what that phone has already is not sent. It gets a number of "
      "its own there. If the guest is not alive here it may be brought up there from then on, with xl restore, and no longer here. Run "
      "it again to go on with one that was broken off; Ctrl-C cancels.",
      CMD_TARGET_PEER, copy_options, cmd_push, cmd_push_print },
    { "pull", "copy a checkpoint from another phone", "PEER DOMAIN[@N]",
      "Copies a checkpoint from the phone PEER, where ssh finds it, as 'flic push' there would: if the guest is not alive there it may be brought up here "
      "from then on.",
      CMD_PEER_TARGET, copy_options, cmd_pull, cmd_pull_print },
    { "send", "the other end of pull", "",
      "Started on the other phone by 'flic pull', through ssh: its input and output are that one's. Not a command for people.",
      CMD_NO_ARGUMENT, NULL, cmd_send, cmd_say_nothing },
    { "receive", "the other end of push", "",
      "Started on the other phone by 'flic push', through ssh: its input and output are that one's. Not a command for people.",
      CMD_NO_ARGUMENT, NULL, cmd_receive, cmd_say_nothing },
    { "claim", "take back a guest whose other phone is gone for good", "DOMAIN",
      "Decides that a guest which was migrated or pushed from here, or of which it is not known whether it arrived, or which is here as a copy only, is this "
      "phone's: one that waits suspended goes on, one that is gone can be restored from its checkpoint here. Only its owner can know that the other phone will never "
      "run it again: if it does, there are two of this guest, and both write to what they share.",
      CMD_TARGET, claim_option, cmd_claim, cmd_claim_print },
    { "hold", "stop moving checkpoints from NVRAM to flash", "",
      "Holds the move from NVRAM to flash, for maintenance or measurements, until 'flic release' or until flicd "
      "restarts.",
      CMD_NO_ARGUMENT, NULL, cmd_hold, cmd_hold_print },
    { "release", "move checkpoints from NVRAM to flash again", "",
      "Ends 'flic hold'.",
      CMD_NO_ARGUMENT, NULL, cmd_release, cmd_hold_print },
    { "cancel", "cancel an operation under way", "OPERATION | DOMAIN",
      "Cancels an operation that 'flic status' shows, named by the beginning of its id or by its guest. A cancelled save "
      "leaves the guest running, a cancelled restore leaves the checkpoint as it was.",
      CMD_OPERATION, NULL, cmd_cancel, cmd_cancel_print },
};

const size_t cmd_verb_count = sizeof(cmd_verbs) / sizeof(cmd_verbs[0]);
