# The job of a login on the other platform's console, as one for this platform's; without one, nothing is changed.
END {
    want = platform == "xen" ? "hvc0" : "tty0"
    have = platform == "xen" ? "^(/dev/)?tty[0-9]+$" : "^(/dev/)?hvc0$"
    old = ""
    for (i = 1; i <= NR && old == ""; i++) {
        if (line[i] ~ /^[ \t]*#/ || line[i] !~ /getty/) continue
        n = split(line[i], word, /[ \t\r]+/)
        for (j = 1; j <= n; j++) if (word[j] ~ have) old = word[j]
    }
    sub(/^\/dev\//, "", old)
    if (old != "") for (i = 1; i <= NR; i++) line[i] = renamed(line[i], old, want)
    put_all()
}
