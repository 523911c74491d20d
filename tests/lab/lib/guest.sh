# shellcheck shell=bash
# shellcheck disable=SC2034  # GUEST_IMAGE is for machine.sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Guests for the phones.

guest_image() { GUEST_IMAGE=''; }
