#!/bin/busybox sh
# First process of a lab guest: loads the NIC driver, sets fixed addresses quietly, becomes the agent.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in @MODULES@; do insmod /modules/$module || echo "cannot load $module"; done

word() { sed -n "s/.*lab\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
# Nothing but what is asked for leaves the guest: no router solicitations, listener reports once and at once.
echo 1 > /proc/sys/net/ipv6/mld_qrv
for scope in default eth0; do
    conf=/proc/sys/net/ipv6/conf/$scope
    echo 0 > $conf/accept_ra
    echo 0 > $conf/accept_dad # no duplicate address detection: usable at once, and nothing sent
    echo 0 > $conf/dad_transmits
    echo 0 > $conf/router_solicitations
    echo 1 > $conf/mldv2_unsolicited_report_interval
    echo 1 > $conf/addr_gen_mode # no link-local address
done
# Who was spoken to is not asked seconds later whether it is still there: a packet that no test has sent.
for family in ipv4 ipv6; do echo 86400 > /proc/sys/net/$family/neigh/eth0/delay_first_probe_time; done
echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range
# Room for bursts: what the NIC hands over must not die in a socket.
echo 33554432 > /proc/sys/net/core/rmem_max
echo 33554432 > /proc/sys/net/core/rmem_default
echo 20000 > /proc/sys/net/core/netdev_max_backlog
ip link set lo up
ip link set eth0 up
# The kernel tells IPv6 of the link with up to a second's delay, and listener reports follow; they must be over when the
# agent says READY. A shell has no event for it.
while [ "$(cat /sys/class/net/eth0/operstate)" != up ]; do usleep 5000; done
ip addr add "$(word ipv4)" dev eth0
ip addr add "$(word ipv6)" dev eth0
stty -F /dev/ttyS1 115200 raw -echo
exec /agent /dev/ttyS1
