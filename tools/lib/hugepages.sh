# shellcheck shell=bash
# Huge pages for the length of a run: only ever more than there were, and given back at the end.

pages_file=/proc/sys/vm/nr_hugepages
pages_added=0

# change_pages BY: prints by how much the number really changed. Under a lock, for two runs may overlap, and whole,
# whatever signal comes.
change_pages() (
  trap '' INT TERM HUP
  flock 9
  before=$(<"$pages_file")
  total=$((before + $1))
  echo "$((total > 0 ? total : 0))" >"$pages_file" || true # refused: the difference will say so
  echo "$(($(<"$pages_file") - before))"
) 9<"$pages_file"

free_pages() { awk '$1 == "HugePages_Free:" { free = $2 } $1 == "HugePages_Rsvd:" { used = $2 }
  END { print free - used }' /proc/meminfo; }

# reserve_pages COUNT: sees to it that COUNT huge pages of 2 MiB are free, as far as this user may.
reserve_pages() {
  local free before
  if [[ ! -e $pages_file ]] || ! grep -q '^Hugepagesize: *2048 kB' /proc/meminfo; then
    say "huge pages: this kernel offers none of 2 MiB"
    return
  fi
  free=$(free_pages)
  if ((free >= $1)); then return; fi
  if [[ ! -w $pages_file ]]; then
    say "huge pages: $free of $1 are free; for more, as root: sysctl vm.nr_hugepages=$(($(<"$pages_file") + $1 - free))"
    return
  fi
  before=$(<"$pages_file")
  pages_added=$((pages_added + $(change_pages "$(($1 - free))")))
  say "huge pages: $pages_added reserved for this run (vm.nr_hugepages was $before)"
  free=$(free_pages)
  if ((free < $1)); then say "huge pages: only $free of $1 could be had; memory is short or fragmented"; fi
}

give_back_pages() {
  if ((pages_added > 0)); then change_pages "-$pages_added" >/dev/null; fi
  pages_added=0
}
