#!/bin/bash
# Gives one case to a command that only reads: feed.sh HOPTRACE CASE WORDS...
# A case is a folder: domain*.xml for libvirt's test driver (it takes them as running), links.sh with the host's interfaces, and ovsdb.sh with
# the rows of Open vSwitch ($VSCTL stands for ovs-vsctl). All of it lives in namespaces that end with this script, where no ovs-vswitchd runs.
set -eu
hoptrace=$1 case=$2; shift 2
if [ -z "${FED:-}" ]; then FED=1 exec unshare --net --mount -- "$0" "$hoptrace" "$case" "$@"; fi
CASES=$(cd "$(dirname "$0")" && pwd); export CASES
here=$CASES/$case; [ -d "$here" ]
mkdir -p /run/netns; mount -t tmpfs none /run/netns
tmp=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$tmp"' EXIT
ip link set lo up
bash -eu "$here/links.sh" 2>/dev/null || [ ! -f "$here/links.sh" ]
{ echo '<node>'; for xml in "$here"/domain*.xml; do echo "<domain file='$xml'/>"; done; echo '</node>'; } > "$tmp/node.xml"
if [ -f "$here/ovsdb.sh" ]; then
  ovsdb-tool create "$tmp/db" /usr/share/openvswitch/vswitch.ovsschema
  ovsdb-server "$tmp/db" --remote=punix:"$tmp/sock" --no-chdir --unixctl="$tmp/ctl" --log-file=/dev/null -vconsole:off &
  server=$!
  until [ -S "$tmp/sock" ]; do kill -0 "$server"; sleep 0.02; done
  export VSCTL="ovs-vsctl --db=unix:$tmp/sock --no-wait"
  $VSCTL init
  bash -eu "$here/ovsdb.sh"
fi
"$hoptrace" --libvirt-uri "test://$tmp/node.xml" --ovsdb "unix:$tmp/sock" "$@"
