# Where root may log in on the other platform's console, it may on this one's too; a list without a console stays.
END {
    want = platform == "xen" ? "hvc0" : "tty0"
    have = platform == "xen" ? "^(tty[01]|xvc0)$" : "^hvc0$"
    at = 0
    for (i = 1; i <= NR; i++) {
        if (line[i] == want) at = -1
        if (at == 0 && line[i] ~ have) at = i
    }
    # Before the line, so that the end of the file stays as it is.
    if (at > 0) line[at] = want "\n" line[at]
    put_all()
}
