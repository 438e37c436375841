#!/bin/sh
# Connects a guest's disk or network port when Xen's toolstack makes a domain, and lets go of it at its end. Written anew by
# xenbeta-agent whenever it starts. libxl gives it ten seconds, on a busy host too: few programs, nothing that waits.
# (Xen's own scripts run some sixty programs for a disk, and look for what the agent has looked for already.)
set -eu

fail() {
    xenstore-write "$XENBUS_PATH/hotplug-error" "$1" "$XENBUS_PATH/hotplug-status" error
    exit 1
}

case $XENBUS_TYPE:$1 in
vbd:add)
    disk=$(xenstore-read "$XENBUS_PATH/params")
    node=
    if [ -f "$disk" ]; then
        node=$(losetup --show --find "$disk") || fail "no loop device for $disk"
        disk=$node
    fi
    [ -b "$disk" ] || fail "$disk is not a disk"
    xenstore-write "$XENBUS_PATH/node" "$node" "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$disk")" \
        "$XENBUS_PATH/physical-device-path" "$disk" "$XENBUS_PATH/hotplug-status" connected
    ;;
vbd:remove)
    node=$(xenstore-read "$XENBUS_PATH/node" 2>/dev/null) || node=
    [ -z "$node" ] || losetup --detach "$node"
    ;;
vif:online)
    # shellcheck disable=SC2046 # three words without spaces, checked by the agent
    set -- $(xenstore-read "$XENBUS_PATH/vifname" "$XENBUS_PATH/bridge" "$XENBUS_PATH/mac")
    ip link set dev "$vif" name "$1" address fe:ff:ff:ff:ff:ff master "$2" up || fail "$vif cannot be put into $2"
    # The bridge may remember the guest outside, where it ran until now: until the guest itself says something, it would
    # send away all that comes for it.
    # Nor does it learn from now on: a neighbour's card would be moved here by frames that no rule of the filter sees.
    bridge link set dev "$1" learning off || fail "$1 cannot be kept from learning"
    bridge fdb replace "$3" dev "$1" master static || fail "$2 does not take $3"
    xenstore-write "$XENBUS_PATH/hotplug-status" connected
    ;;
esac
