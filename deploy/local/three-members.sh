#!/usr/bin/env bash
# Three members on this machine: three-members.sh start|stop|status [DIRECTORY]
# Clients' ports: 2379, 22379, 32379. Data, logs and process IDs are kept below DIRECTORY (default: a folder in ${TMPDIR:-/tmp}),
# so that stop and start continue where they were. Only processes that this script started are ever stopped.
set -euo pipefail

root="$(cd "$(dirname "$0")/../.." && pwd)"
action="${1:-}"
directory="${2:-${TMPDIR:-/tmp}/quorate-three-members-$(id -u)}"
members="n1:2379:2380 n2:22379:22380 n3:32379:32380"
cluster="n1=http://127.0.0.1:2380,n2=http://127.0.0.1:22380,n3=http://127.0.0.1:32380"

fail() {
  echo "three-members.sh: $*" >&2
  exit 1
}

# The program: $QUORATE_SERVER_BIN, else the one that was built, the release build first.
server() {
  local found
  for found in "${QUORATE_SERVER_BIN:-}" "${CARGO_TARGET_DIR:-$root/target}"/{release,debug}/quorate-server; do
    if [ -n "$found" ] && [ -x "$found" ]; then
      echo "$found"
      return
    fi
  done
  fail "quorate-server is not built: run 'cargo build --release' in $root, or set QUORATE_SERVER_BIN"
}

# The process ID of a member if it runs. A number that another program has taken over meanwhile does not count.
running() {
  local pid
  pid="$(cat "$directory/$1.pid" 2>/dev/null)" || return 1
  [ "$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -c -x -e "--data-dir=$directory/$1")" = 1 ] || return 1
  echo "$pid"
}

start_member() {
  local program="$1" name="$2" client="$3" peer="$4" pid
  if pid="$(running "$name")"; then
    echo "$name runs already (process $pid)"
    return
  fi
  local flags=(
    --name="$name"
    --data-dir="$directory/$name"
    --listen-client-urls="http://127.0.0.1:$client"
    --advertise-client-urls="http://127.0.0.1:$client"
    --listen-peer-urls="http://127.0.0.1:$peer"
    --initial-advertise-peer-urls="http://127.0.0.1:$peer"
    --initial-cluster="$cluster"
    --initial-cluster-token=three-members
  )
  nohup "$program" "${flags[@]}" </dev/null >>"$directory/$name.log" 2>&1 &
  echo $! >"$directory/$name.pid"
}

healthy() {
  curl -fsS --max-time 2 "http://127.0.0.1:$1/health" >/dev/null 2>&1
}

# Waits until all members are healthy, and gives up with the log of one that ended.
wait_until_healthy() {
  local deadline=$((SECONDS + 30)) name client peer
  for member in $members; do
    IFS=: read -r name client peer <<<"$member"
    until healthy "$client"; do
      running "$name" >/dev/null || { tail -n 5 "$directory/$name.log" >&2; fail "$name has ended; its log is $directory/$name.log"; }
      [ "$SECONDS" -lt "$deadline" ] || fail "$name is not healthy after 30 s; its log is $directory/$name.log"
      sleep 0.1
    done
    echo "$name is healthy: http://127.0.0.1:$client"
  done
}

start() {
  local program name client peer
  program="$(server)"
  mkdir -p "$directory"
  for member in $members; do
    IFS=: read -r name client peer <<<"$member"
    start_member "$program" "$name" "$client" "$peer"
  done
  wait_until_healthy
  echo "data and logs: $directory"
}

stop() {
  local name pid rest
  local -A stopping=()
  for member in $members; do
    IFS=: read -r name rest <<<"$member"
    if pid="$(running "$name")"; then
      kill "$pid"
      stopping[$name]=$pid
    else
      echo "$name does not run"
    fi
  done
  for name in "${!stopping[@]}"; do
    local deadline=$((SECONDS + 30))
    while running "$name" >/dev/null; do
      [ "$SECONDS" -lt "$deadline" ] || fail "$name (process ${stopping[$name]}) has not stopped after 30 s"
      sleep 0.1
    done
    rm -f "$directory/$name.pid"
    echo "$name has stopped"
  done
}

status() {
  local name client peer pid code=0
  for member in $members; do
    IFS=: read -r name client peer <<<"$member"
    if ! pid="$(running "$name")"; then
      echo "$name does not run"
      code=1
    elif healthy "$client"; then
      echo "$name is healthy (process $pid): http://127.0.0.1:$client"
    else
      echo "$name runs but is not healthy (process $pid): http://127.0.0.1:$client"
      code=1
    fi
  done
  return "$code"
}

case "$action" in
start) start ;;
stop) stop ;;
status) status ;;
*) fail "usage: three-members.sh start|stop|status [DIRECTORY]" ;;
esac
