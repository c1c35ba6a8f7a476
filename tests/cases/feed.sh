#!/bin/bash
# Gives one case to a command that only reads: feed.sh HOPTRACE CASE WORDS...
# A case is a folder, here or by its whole path: domain*.xml for libvirt's test driver (it takes them as running), links.sh with the host's
# interfaces, ovsdb.sh with the rows of Open vSwitch ($VSCTL stands for ovs-vsctl), and southbound.json, a transaction that makes those of OVN's
# southbound database (southbound.ovsschema has what paths need of its schema). All of it lives in namespaces that end with this script, where
# neither ovs-vswitchd nor ovn-controller runs.
set -eu
hoptrace=$1 case=$2; shift 2
if [ -z "${FED:-}" ]; then FED=1 exec unshare --net --mount -- "$0" "$hoptrace" "$case" "$@"; fi
CASES=$(cd "$(dirname "$0")" && pwd); export CASES
case $case in /*) here=$case ;; *) here=$CASES/$case ;; esac
[ -d "$here" ]
mkdir -p /run/netns; mount -t tmpfs none /run/netns
tmp=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$tmp"' EXIT
ip link set lo up
bash -eu "$here/links.sh" 2>/dev/null || [ ! -f "$here/links.sh" ]
{ echo '<node>'; for xml in "$here"/domain*.xml; do echo "<domain file='$xml'/>"; done; echo '</node>'; } > "$tmp/node.xml"
if [ -f "$here/ovsdb.sh" ]; then
  ovsdb-tool create "$tmp/db" /usr/share/openvswitch/vswitch.ovsschema
  databases=("$tmp/db")
  if [ -f "$here/southbound.json" ]; then
    ovsdb-tool create "$tmp/southbound" "$CASES/southbound.ovsschema"
    databases+=("$tmp/southbound")
  fi
  ovsdb-server "${databases[@]}" --remote=punix:"$tmp/sock" --no-chdir --unixctl="$tmp/ctl" --log-file=/dev/null -vconsole:off &
  server=$!
  until [ -S "$tmp/sock" ]; do kill -0 "$server"; sleep 0.02; done
  export VSCTL="ovs-vsctl --db=unix:$tmp/sock --no-wait"
  $VSCTL init
  bash -eu "$here/ovsdb.sh"
  if [ -f "$here/southbound.json" ]; then
    if ovsdb-client transact "unix:$tmp/sock" "$(cat "$here/southbound.json")" | grep '"error"' >&2; then exit 1; fi
    $VSCTL set Open_vSwitch . external_ids:ovn-remote="unix:$tmp/sock"
  fi
fi
"$hoptrace" --libvirt-uri "test://$tmp/node.xml" --ovsdb "unix:$tmp/sock" "$@"
