# shellcheck shell=bash disable=SC2034,SC2154  # what it sets and what it reads is in another file
# Messages, and commands run so that nothing outlives this script. Sourced by tools/run and tools/test,
# which set `me` to their name first and are at the top of the checkout.

bold='' red='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; fi

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "$me" "$*" >&2
  exit 1
}

work=$(mktemp -d "${TMPDIR:-/tmp}/weir.XXXXXX")
job='' # process group of the command that runs now

# start COMMAND...: in the background, as a process group of its own, so that it can be ended as a whole.
start() {
  set -m
  "$@" </dev/null &
  job=$!
  set +m
}

finish() {
  local status=0
  wait "$job" || status=$?
  job=''
  return "$status"
}

# Asks first, so that the programs clean up after themselves, then insists.
end_job() {
  local signal try
  for signal in INT TERM KILL; do
    for ((try = 0; try < 50; try++)); do
      kill -0 -- "-$job" 2>/dev/null || return 0
      if ((try == 0)); then kill -"$signal" -- "-$job" 2>/dev/null || true; fi
      sleep 0.1
    done
  done
}

on_exit() {
  local status=$?
  trap '' INT TERM HUP PIPE
  if [[ $job ]]; then
    printf '\n%s: stopping what runs\n' "$me" >&2 || true
    end_job
  fi
  give_back_pages
  rm -rf "$work"
  exit "$status"
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
trap 'exit 141' PIPE

# show_life LABEL LOG SECONDS: on a terminal one line that changes, elsewhere a line every half minute.
show_life() {
  local last
  last=$(tail -c 300 "$2" | tr '\r' '\n' | grep -v '^ *$' | tail -n 1 | tr -dc '[:print:]') || true
  if [[ -t 1 ]]; then
    printf '\r\e[K%s  %d s  %.*s' "$1" "$3" 70 "$last"
  elif (($3 % 30 == 0 && $3 > 0)); then
    say "$1  $3 s  ${last:0:90}"
  fi
}

# quietly LABEL COMMAND...: its output goes to a log, shown whole when it fails. Status 77 means that it could not
# run here, and its last line why. Sets `log`.
quietly() {
  local label=$1 began=$SECONDS shown=-1 status=0
  shift
  log=$(mktemp "$work/log.XXXXXX")
  start "$@" >"$log" 2>&1
  while kill -0 "$job" 2>/dev/null; do
    if ((SECONDS - began != shown)); then
      shown=$((SECONDS - began))
      show_life "$label" "$log" "$shown"
    fi
    sleep 0.2
  done
  finish || status=$?
  if [[ -t 1 ]]; then printf '\r\e[K'; fi
  if ((status == 0)); then
    say "$label  $((SECONDS - began)) s"
  elif ((status == 77)); then
    say "$label  skipped: $(tail -n 1 "$log")"
  else
    cat "$log"
    say "${red}$label failed after $((SECONDS - began)) s (exit $status; its output is above)${plain}"
  fi
  return "$status"
}

# What cmake is to use, where a folder is new: Ninja, and ccache wherever the checkout lies.
prepare_builds() {
  if type -P ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
  if type -P ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
    export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
  fi
}

need() {
  local command
  for command; do
    type -P "$command" >/dev/null || die "$command is not installed: it is in a package named in tools/packages.txt"
  done
}
