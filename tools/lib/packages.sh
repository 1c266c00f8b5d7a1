# shellcheck shell=bash disable=SC2034,SC2154  # what it sets and what it reads is in another file
# Packages of tools/packages.txt. Installs only what is missing, and starts no service by it.

# packages_of GROUP...: a group is the lines from `# GROUP` to the next empty one.
packages_of() {
  local group
  for group; do
    sed -nE "/^# $group(:|\$)/,/^\$/ { /^[^#]/p }" tools/packages.txt
  done
}

missing_of() {
  local package
  packages_of "$@" | while read -r package; do
    # shellcheck disable=SC2016  # the format is dpkg-query's
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# Debian's way to forbid that an installation starts services, unless this machine already has a say in it.
# The file undoes itself: once we are gone it allows everything, even if we were killed before removing it.
install_quietly() {
  local policy=/usr/sbin/policy-rc.d ours='' package status=0
  if [[ ! -e $policy ]]; then
    ours=$policy
    printf '#!/bin/sh\nif kill -0 %d 2>/dev/null; then exit 101; fi\n' "$$" >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update || true # an old list may still do
  apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" || status=$?
  if [[ $ours ]]; then rm -f "$ours"; fi
  for package; do
    case $package in
      haproxy | redis-server | nginx | postgresql | prometheus) systemctl --quiet disable "$package" || true ;;
    esac
  done
  return "$status"
}

# have_packages GROUP...: as root or by sudo; else says what is missing and goes on with what there is.
have_packages() {
  local missing
  if ! type -P dpkg-query >/dev/null; then
    say "not Debian: the packages named in tools/packages.txt are taken to be here under other names"
    return
  fi
  mapfile -t missing < <(missing_of "$@")
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID == 0)); then
    say "installing ${missing[*]}"
    quietly "packages" install_quietly "${missing[@]}" ||
      die "cannot install the packages: see apt's message above, or install them by hand: apt-get install ${missing[*]}"
  elif sudo -n true 2>/dev/null; then
    say "installing by sudo ${missing[*]}"
    quietly "packages" sudo -n bash -c "set -euo pipefail; $(declare -f install_quietly); install_quietly \"\$@\"" \
      "$me" "${missing[@]}" || die "cannot install the packages: see apt's message above"
  else
    say "not installed, and this user cannot: ${missing[*]}"
    say "  to get them: sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
}
