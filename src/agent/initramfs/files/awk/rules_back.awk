# What rules.awk made comments are rules again.
END {
    for (i = 1; i <= NR; i++) sub(/^#xenbeta# /, "", line[i])
    put_all()
}
