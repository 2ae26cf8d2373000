# Shared by up, down and ctl. Sourced, never run.
# Every daemon is found again by "pid + start time" (run/NAME.pid), so a
# reused pid is never signalled and nothing is ever killed by name.

LAB=${SLURM_LAB_DIR:?}
PORT=${SLURM_LAB_PORT:?}          # +6 mariadb, +17 slurmctld, +19 slurmdbd, +20.. slurmd
CONF=$LAB/etc/slurm.conf
RUN=$LAB/run LOG=$LAB/log

say() { echo "slurm-lab: $*" >&2; }
die() { say "$*"; exit 1; }

# start time of a pid in clock ticks (empty when it is gone or a zombie)
starttime() {
    local s
    s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    s=${s##*) }
    set -- $s
    [ "$1" != Z ] || return 1
    echo "${20}"
}

# launch NAME CMD...: start detached from this shell, remember pid and start time
launch() {
    local name=$1 pid; shift
    setsid nohup "$@" </dev/null >>"$LOG/$name.out" 2>&1 9>&- &
    pid=$!
    # setsid, nohup and env exec in place: the pid and its start time stay
    echo "$pid $(starttime $pid)" >"$RUN/$name.pid"
}

# pid_of NAME: the live pid, or failure
pid_of() {
    local pid st
    read -r pid st 2>/dev/null <"$RUN/$1.pid" || return 1
    [ -n "$st" ] && [ "$(starttime "$pid")" = "$st" ] && echo "$pid"
}

alive() { pid_of "$1" >/dev/null; }

# stop NAME [SIGNAL] [SECONDS]: signal, wait, then KILL
stop() {
    local pid sig=${2:-TERM} i n=$(( ${3:-10} * 20 ))
    pid=$(pid_of "$1") || { rm -f "$RUN/$1.pid"; return 0; }
    kill -CONT "$pid" 2>/dev/null
    kill "-$sig" "$pid" 2>/dev/null
    for ((i = 0; i < n; i++)); do
        alive "$1" || { rm -f "$RUN/$1.pid"; return 0; }
        sleep 0.05
    done
    say "$1 (pid $pid) ignored SIG$sig, killing it"
    kill -KILL "$pid" 2>/dev/null
    sleep 0.1
    rm -f "$RUN/$1.pid"
}

# until_ok SECONDS CMD...: poll every 50 ms
until_ok() {
    local end=$(( SECONDS + $1 + 1 )); shift
    while ! "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

nodes() { sed -n 's/^NodeName=\(node[0-9]*\) .*/\1/p' "$CONF"; }

start_munged() {
    launch munged /usr/sbin/munged --foreground --force --num-threads=4 \
        --key-file="$LAB/etc/munge.key" --socket="$RUN/munge.sock" \
        --pid-file="$RUN/munged.own.pid" --log-file="$LOG/munged.log" \
        --seed-file="$RUN/munged.seed"
}

start_mariadb() {
    launch mariadbd /usr/sbin/mariadbd --defaults-file="$LAB/etc/my.cnf"
}

start_slurmdbd() { launch slurmdbd env SLURM_CONF="$CONF" /usr/sbin/slurmdbd -D; }

start_slurmctld() { launch slurmctld /usr/sbin/slurmctld -D -f "$CONF"; }

# cwd is how its slurmstepds, which outlive it, are recognised afterwards
start_slurmd() {
    mkdir -p "$LAB/spool/$1"
    ( cd "$LAB/spool/$1" && launch "$1" /usr/sbin/slurmd -D -f "$CONF" -N "$1" )
}

# pids of this lab's slurmstepds and of the processes of its jobs
lab_job_pids() {
    local d pid
    for d in /proc/[0-9]*; do
        pid=${d#/proc/}
        [ "$pid" != $$ ] || continue
        if [ "$(cat "$d/comm" 2>/dev/null)" = slurmstepd ]; then
            case $(readlink "$d/cwd" 2>/dev/null) in
                "$LAB"/spool/*) echo "$pid"; continue;;
            esac
        fi
        if tr '\0' '\n' <"$d/environ" 2>/dev/null | awk -v c="SLURM_CONF=$CONF" '
                $0 == c {a=1} /^SLURM_JOB_ID=/ {b=1} END {exit !(a && b)}'; then
            echo "$pid"
        fi
    done 2>/dev/null
}

print_env() {
    echo "export SLURM_LAB_DIR=$LAB"
    echo "export SLURM_CONF=$CONF"
    case ":$PATH:" in
        *:/usr/sbin:*) ;;
        *) echo 'export PATH=$PATH:/usr/sbin:/usr/bin';;
    esac
}
