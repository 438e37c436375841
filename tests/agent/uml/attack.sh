#!/bin/sh
# Run by the guest's root in a real guest, once a boot: tries to reach the host, and writes down what came of it where the guest's
# web server shows it. The second disk is /dev/ubdb.
PATH=/bin
exec > /run/report 2>&1
ln -sf /run/report /www/report
mkdir -p /run/mnt

# The host's files, by what UML has for it.
tries=0
for options in "" / /etc /../../../.. ../../.. /proc/1/root /proc/self/root /proc/1/cwd /boot/.. /disks /u/../..; do
    mount -t hostfs none /run/mnt -o "$options" || continue
    tries=$((tries + 1))
    (cd /run/mnt && find . ! -path './dev/shm/*' | sed "s|^\.|HOSTFS $options |" | head -60)
    for secret in etc/shadow etc/passwd root var/lib proc/1/environ; do
        [ ! -e /run/mnt/$secret ] || echo "BROKEN hostfs $options shows $secret"
    done
    for file in new boot/new proc/new kernel preload.so; do
        # (In a shell of its own: a redirection that fails ends a shell.)
        (echo x >> /run/mnt/$file) 2> /dev/null && echo "BROKEN hostfs $options writes $file"
    done
    umount /run/mnt
done
echo "HOSTFS-MOUNTS $tries"

[ -b /dev/ubdb ] || echo "BROKEN there is no second disk"
# A header that says "I am the changes to another file": magic, version 3, time, size, then the file's path.
case $(dd if=/dev/ubdb bs=4 count=1 2> /dev/null) in
    OOOM)
        echo "COW kept"
        echo "DONE"
        exit
        ;;
    *)
        if [ -e /data/header ]; then echo "BROKEN the disk is another file now"; fi
        touch /data/header
        dd if=/etc/header of=/dev/ubdb conv=notrunc,fsync 2> /dev/null
        echo "COW written"
        ;;
esac

# Processes without end. Where the host says no, a shell ends; this one then waits without a process of its own.
mkfifo /run/never
sh -c 'n=0; while [ $n -lt 600 ]; do sleep 8 & n=$((n + 1)); done' &
wait $!
read -r -t 10 nothing <> /run/never
# Memory without end, and the console's file.
dd if=/dev/zero of=/run/fill bs=1M count=40 2> /dev/null
rm -f /run/fill
yes "a line of a console that nobody reads" 2> /dev/null | head -c 2000000 > /dev/console
echo "DONE"
