# Sourced by the scripts beside it, from the repository root.
# shellcheck shell=sh

# A bold line of progress; plain where nobody looks.
step() {
    if [ -t 1 ]; then
        printf '\n\033[1m==> %s\033[0m\n' "$*"
    else
        printf '\n==> %s\n' "$*"
    fi
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Kilobytes that the named files take; what is absent takes none.
disk_kb() {
    du -sk "$@" 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'
}

human_kb() {
    awk -v kb="$1" 'BEGIN {
        if (kb >= 1000000) printf "%.1f GB", kb * 1024 / 1e9; else printf "%d MB", kb * 1024 / 1e6
    }'
}

# Tools of the virtual environment by name, with the project's settings whatever the user's own are.
# Ansible refuses to start in a locale that is not UTF-8.
use_venv() {
    PATH=$PWD/.venv/bin:$PATH
    LC_ALL=C.UTF-8
    ANSIBLE_CONFIG=$PWD/ansible.cfg
    PYTHONUNBUFFERED=1
    export PATH LC_ALL ANSIBLE_CONFIG PYTHONUNBUFFERED
}
