# What init and the helpers share. ROOT is where the guest's root is mounted, WORK a folder of our own in memory, XB where
# these files are. Before the guest's init runs nothing else writes to the guest's files, so that looking at a path first
# and using it afterwards is safe. Nothing of a guest's file is ever run, evaluated or printed.

# A file over this is left alone.
size_limit=262144

say() { echo "xenbeta: $*"; }

# limited SECONDS PROGRAM...: its status, or that of SIGKILL once the time is over; nothing it started is left.
limited() {
    seconds=$1
    shift
    timeout -s KILL "$seconds" setsid "$@" &
    group=$!
    wait $group
    status=$?
    kill -KILL -$group 2> /dev/null
    return $status
}

# run_helpers PLATFORM WORD,WORD: the named ones do their work; those that can take it back and are not named take it back.
run_helpers() {
    for helper in disable_tls fstab console modules udev_net updatedb_off; do
        # Unpacking modules is the one that takes long on a slow disk.
        case $helper in modules) limit=90 ;; *) limit=20 ;; esac
        action=undo
        case ,$2, in *,$helper,*) action=do ;; esac
        case $action,$helper in undo,fstab | undo,console | undo,modules) continue ;; esac
        ROOT=$ROOT WORK=$WORK XB=$XB PLATFORM=$1 limited $limit /bin/sh "$XB/helper" "$helper" $action < /dev/null
        status=$?
        case $status in
            0) ;;
            137 | 143) say "$helper: stopped after $limit s; booting on" ;;
            *) say "$helper: ended with status $status; booting on" ;;
        esac
    done
}

# leave_mounted ro|rw: the guest finds its root as the profile asks.
leave_mounted() {
    sync
    case $1 in
        rw) mount -o remount,rw "$ROOT" || say "the root file system stays read-only" ;;
        ro) [ ! -e "$WORK/writable" ] || mount -o remount,ro "$ROOT" || say "the root file system stays writable" ;;
    esac
}

# inside PATH: puts into $found where PATH of the guest is, links followed as the guest would, never out of its root.
inside() {
    local todo=$1 links=0 part target
    found=$ROOT
    while [ -n "$todo" ]; do
        part=${todo%%/*}
        case $todo in */*) todo=${todo#*/} ;; *) todo='' ;; esac
        case $part in
            '' | .) continue ;;
            ..) [ "$found" = "$ROOT" ] || found=${found%/*}; continue ;;
        esac
        if [ -L "$found/$part" ]; then
            links=$((links + 1))
            [ $links -le 16 ] || return 1
            target=$(readlink "$found/$part") || return 1
            case $target in /*) found=$ROOT ;; esac
            todo=$target/$todo
        else
            found=$found/$part
        fi
    done
}
