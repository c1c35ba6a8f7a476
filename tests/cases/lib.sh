# Shared by the cases' links.sh. ifb stands in for NICs, bonds and tunnels that some kernels have no driver for: like a NIC it has no peer,
# and is of no kind that paths care about.

# SHORT_ID [MTU]: tap, qbr, qvb and qvo as Nova makes them.
hybrid() {
  local id=$1 mtu=${2:-1500}
  ip link add "qbr$id" type bridge
  ip link add "qvb$id" type veth peer name "qvo$id"
  ip tuntap add "tap$id" mode tap
  for i in "qvb$id" "qvo$id" "tap$id"; do ip link set "$i" mtu "$mtu"; done
  ip link set "qvb$id" master "qbr$id"; ip link set "tap$id" master "qbr$id"
  for i in "qbr$id" "qvb$id" "qvo$id" "tap$id"; do ip link set "$i" up; done
}

# NAME [MTU]
nic() {
  ip link add "$1" type ifb; ip link set "$1" mtu "${2:-1500}"; ip link set "$1" up
}
